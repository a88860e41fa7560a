"""Error counts: hand-made alignments, the recursive definition and another scorer as oracles, and sums."""

import functools
import random

import jiwer
import pytest

from allinone.scoring import ErrorCounts, character_errors, word_errors


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("a b c", "a b c", ErrorCounts(0, 0, 0, 3)),
        ("a b c", "a x c", ErrorCounts(1, 0, 0, 3)),
        ("a b c", "a c", ErrorCounts(0, 1, 0, 3)),
        ("a b c", "a b d c", ErrorCounts(0, 0, 1, 3)),
        ("a b c", "", ErrorCounts(0, 3, 0, 3)),
        ("", "a", ErrorCounts(0, 0, 1, 0)),
    ],
)
def test_word_errors_of_known_alignments(reference, hypothesis, expected):
    assert word_errors(reference, hypothesis) == expected


def optimal_counts(reference: list[str], hypothesis: list[str]) -> set[tuple[int, int, int]]:
    """Substitutions, deletions and insertions of every alignment of least weight, by the recursive definition."""

    def weight(counts: tuple[int, int, int]) -> int:
        return 4 * counts[0] + 3 * (counts[1] + counts[2])

    @functools.cache
    def best(rows: int, columns: int) -> frozenset[tuple[int, int, int]]:
        if not rows or not columns:
            return frozenset({(0, rows, columns)})
        wrong = int(reference[rows - 1] != hypothesis[columns - 1])
        found = {(s + wrong, d, i) for s, d, i in best(rows - 1, columns - 1)}
        found |= {(s, d + 1, i) for s, d, i in best(rows - 1, columns)}
        found |= {(s, d, i + 1) for s, d, i in best(rows, columns - 1)}
        least = min(map(weight, found))
        return frozenset(counts for counts in found if weight(counts) == least)

    return set(best(len(reference), len(hypothesis)))


def random_pairs(count: int) -> list[tuple[str, str]]:
    chance = random.Random(0)
    lengths = [(chance.randint(1, 9), chance.randint(1, 9)) for _ in range(count)]
    return [(" ".join(chance.choices("abcde", k=m)), " ".join(chance.choices("abcde", k=n))) for m, n in lengths]


def test_kinds_of_errors_are_those_of_an_alignment_of_least_weight():
    for reference, hypothesis in random_pairs(200):
        counts = word_errors(reference, hypothesis)
        assert (counts.substitutions, counts.deletions, counts.insertions) in optimal_counts(
            reference.split(), hypothesis.split()
        )
        assert counts.words == len(reference.split())


def test_characters_and_mostly_words_have_the_fewest_errors_that_an_independent_scorer_finds():
    equal = 0
    for reference, hypothesis in random_pairs(200):
        assert character_errors(reference, hypothesis).rate == pytest.approx(100 * jiwer.cer(reference, hypothesis))
        rate, fewest = word_errors(reference, hypothesis).rate, 100 * jiwer.wer(reference, hypothesis)
        assert rate > fewest - 1e-9
        equal += rate < fewest + 1e-9
    assert 150 < equal < 200  # more correct words may cost more errors: sclite's weights


def test_the_rate_of_a_sum_weighs_utterances_by_their_words():
    total = word_errors("a", "b") + word_errors("a b c", "a b c")
    assert total == ErrorCounts(1, 0, 0, 4)
    assert total.rate == 25.0
    assert sum([total], ErrorCounts()) == total


def test_without_reference_words_the_rate_is_zero_or_infinite():
    assert ErrorCounts().rate == 0.0
    assert word_errors("", "").rate == 0.0
    assert word_errors("", "a").rate == float("inf")


def test_spaces_count_once_between_words_and_not_at_the_ends():
    assert character_errors(" ab  cd ", "ab cd") == ErrorCounts(0, 0, 0, 5)
    assert character_errors("ab cd", "abcd") == ErrorCounts(0, 1, 0, 5)
    assert word_errors(" a  b ", "a b").errors == 0
