"""Systems compared: numbers belong together, the order decides the sign alone, what does not fit is refused."""

import random
from itertools import combinations

import pytest

from allinone.scoring import compare, edits, mapsswe
from allinone.scoring.holm import holm
from allinone.scoring.significance import SAME, listed


def make_systems() -> tuple[dict[str, list[str]], dict[str, dict[str, list[str]]]]:
    """Two systems of nearly equal errors and one much worse."""
    chance = random.Random(5)
    said = {f"u{number}": chance.choices("abcdefghij", k=12) for number in range(120)}
    shares = {"good": 0.10, "nearly": 0.105, "bad": 0.40}
    heard = {
        name: {
            utterance: [word if chance.random() > share else "x" for word in words] for utterance, words in said.items()
        }
        for name, share in shares.items()
    }
    return said, heard


def test_the_numbers_of_a_pair_are_those_of_its_parts():
    said, heard = make_systems()
    comparison = compare(said, heard, samples=500)
    systems = {system.name: system for system in comparison.systems}
    assert [(pair.first, pair.second) for pair in comparison.pairs] == list(combinations(heard, 2))
    assert [pair.p_holm for pair in comparison.pairs] == holm([pair.test.p for pair in comparison.pairs])
    for system in comparison.systems:
        assert system.interval[0] < system.counts.rate < system.interval[1]
        assert system.counts.words == 120 * 12
    for pair in comparison.pairs:
        aligned = [[edits(said[name], heard[system][name]) for name in said] for system in (pair.first, pair.second)]
        assert pair.test == mapsswe(*aligned)
        assert pair.difference == systems[pair.first].counts.rate - systems[pair.second].counts.rate
        assert pair.difference == pytest.approx(100 * pair.test.mean * pair.test.segments / (120 * 12))
        assert pair.interval[0] < pair.difference < pair.interval[1]
        assert pair.detectable is not None
        assert (abs(pair.difference) > pair.detectable) == (pair.verdict != SAME)


def test_all_may_be_compared_with_one_and_are_corrected_for_these_pairs_alone():
    said, heard = make_systems()
    pairs = compare(said, heard, against="nearly", samples=100).pairs
    assert [(pair.first, pair.second) for pair in pairs] == [("good", "nearly"), ("bad", "nearly")]
    assert [pair.p_holm for pair in pairs] == holm([pair.test.p for pair in pairs])
    assert pairs[0].difference < 0 < pairs[1].difference
    assert [pair.verdict_holm for pair in pairs] == [SAME, "nearly"]
    with pytest.raises(ValueError, match="against requires one of the systems, good, nearly, bad; found 'best'"):
        compare(said, heard, against="best", samples=100)


def test_the_verdict_names_the_better_system_or_none():
    said, heard = make_systems()
    verdicts = {(pair.first, pair.second): pair.verdict_holm for pair in compare(said, heard, samples=100).pairs}
    assert verdicts == {("good", "nearly"): SAME, ("good", "bad"): "good", ("nearly", "bad"): "nearly"}


def test_alpha_decides_verdicts_and_intervals():
    said, heard = make_systems()
    strict, loose = (compare(said, heard, alpha=alpha, samples=1_000) for alpha in (0.001, 0.9))
    assert (strict.pairs[0].verdict, loose.pairs[0].verdict) == (SAME, "good")
    assert strict.pairs[0].interval[0] < loose.pairs[0].interval[0]
    assert strict.systems[0].interval[1] > loose.systems[0].interval[1]


def test_many_comparisons_ask_for_more_than_one():
    said, heard = make_systems()
    p = compare(said, {name: heard[name] for name in ("good", "nearly")}, samples=100).pairs[0].test.p
    three = {"good": heard["good"], "nearly": heard["nearly"], "good again": heard["good"]}
    pair = compare(said, three, alpha=2 * p, samples=100).pairs[0]
    assert (pair.first, pair.second, pair.test.p, pair.p_holm) == ("good", "nearly", p, 3 * p)
    assert (pair.verdict, pair.verdict_holm) == ("good", SAME)


def test_exchanged_systems_change_signs_alone():
    said, heard = make_systems()
    one, other = (
        compare(said, {name: heard[name] for name in names}, samples=200).pairs[0]
        for names in (("good", "bad"), ("bad", "good"))
    )
    assert (one.test.mean, one.difference) == (-other.test.mean, -other.difference)
    assert one.interval == pytest.approx(tuple(-end for end in reversed(other.interval)))
    assert (one.verdict, one.detectable) == (other.verdict, other.detectable)


def test_equal_systems_are_the_same():
    said, heard = make_systems()
    (pair,) = compare(said, {"one": heard["bad"], "other": heard["bad"]}, samples=100).pairs
    assert (pair.verdict, pair.verdict_holm, pair.difference, pair.interval) == (SAME, SAME, 0.0, (0.0, 0.0))
    assert pair.detectable is None


def test_the_order_of_utterances_in_a_file_does_not_matter():
    said, heard = make_systems()
    turned = {name: dict(reversed(utterances.items())) for name, utterances in heard.items()}
    assert compare(said, heard, samples=100) == compare(said, turned, samples=100)


def test_one_system_has_no_pair():
    comparison = compare({"u": ["a"]}, {"one": {"u": []}}, samples=100)
    assert (comparison.systems[0].counts.rate, comparison.systems[0].interval, comparison.pairs) == (
        100,
        (100, 100),
        (),
    )


def test_utterances_that_do_not_match_are_listed_ten_at_most():
    said = {f"u{number:02}": ["a"] for number in range(30)}
    with pytest.raises(ValueError, match=r"found that sys lacks u05, u06\. Give files of the same test set") as caught:
        compare(said, {"sys": {name: [] for name in said if name not in ("u05", "u06")}})
    assert "has, but" not in str(caught.value)
    with pytest.raises(
        ValueError, match=r"sys lacks u00, .*, u09, \.\.\. \(30 in all\) and has, but the reference lacks, v\."
    ):
        compare(said, {"sys": {"v": []}})
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(number) for number in range(11)]).startswith("0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ... (11")


@pytest.mark.parametrize("references", [{}, {"u": []}, {"u": [], "v": []}])
def test_references_without_a_word_are_refused(references):
    with pytest.raises(ValueError, match=r"requires references with words; found \d utterances and not one word"):
        compare(references, {"sys": {name: ["a"] for name in references}})


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, 5])
def test_alpha_must_be_a_probability(alpha):
    with pytest.raises(ValueError, match=f"alpha must lie between 0 and 1; found {alpha}"):
        compare({"u": ["a"]}, {"sys": {"u": ["a"]}}, alpha=alpha)


def test_there_must_be_a_system():
    with pytest.raises(ValueError, match="requires hypotheses; found none"):
        compare({"u": ["a"]}, {})
