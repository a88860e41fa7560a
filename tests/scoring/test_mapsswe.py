"""The matched-pairs test: the numbers of NIST's sc_stats, segments by hand, and what the smallest difference means."""

import random
from itertools import combinations

import pytest

from allinone.scoring import MatchedPairs, edits, mapsswe, read_trn, trn_words
from tests.scoring.sctk import (
    NAMES,
    ORACLE,
    SETS,
    Found,
    matched_pairs,
    needs_sctk,
    random_texts,
    sc_stats,
    sclite,
    write_texts,
)

HALF = 0.00051  # sc_stats prints three decimals


def check(ours: MatchedPairs, theirs: Found) -> None:
    """Everything that sc_stats says of a pair."""
    assert ours.segments == theirs.segments
    assert (ours.mean, ours.std, ours.z) == pytest.approx((theirs.mean, theirs.std, theirs.z), abs=HALF)
    assert (ours.p < 0.05) == theirs.differ


@pytest.mark.parametrize("texts", SETS)
def test_segments_mean_deviation_z_and_verdict_are_those_of_sc_stats(texts):
    folder = ORACLE / texts
    said = [trn_words(text) for _, text in read_trn(folder / "ref.trn")]
    aligned = {}
    for name in NAMES:
        heard = [trn_words(text) for _, text in read_trn(folder / f"{name}.trn")]
        aligned[name] = [edits(*pair) for pair in zip(said, heard, strict=True)]
    found = matched_pairs((folder / "mapsswe.txt").read_text(encoding="utf-8"))
    assert [(line.first, line.second) for line in found] == list(combinations(NAMES, 2))
    for line in found:
        check(mapsswe(aligned[line.first], aligned[line.second]), line)


@needs_sctk
@pytest.mark.parametrize("seed", range(25))
def test_random_systems_are_compared_as_by_sc_stats(tmp_path, seed):
    chance = random.Random(seed)
    references, hypotheses = random_texts(chance, chance.choice((1, 2, 5, 40, 150)))
    write_texts(tmp_path, references, hypotheses)
    alignments = {name: sclite(tmp_path, name) for name in NAMES}
    aligned = {
        name: [edits(said.split(), text.split()) for said, text in zip(references, heard, strict=True)]
        for name, heard in hypotheses.items()
    }
    for first, second in [*combinations(NAMES, 2), tuple(reversed(NAMES[:2]))]:
        ours = mapsswe(aligned[first], aligned[second])
        if ours.segments:  # sc_stats crashes where nobody made an error
            (theirs,) = matched_pairs(sc_stats([alignments[first], alignments[second]], tmp_path))
            check(ours, theirs)


@pytest.mark.parametrize(
    ("first", "second", "segments"),
    [
        ("CCSCC", "CCCCC", [1]),
        ("SCCS", "CCCC", [1, 1]),  # two good words part them
        ("SCS", "CCC", [2]),  # one does not
        ("SCCS", "CCSC", [1]),  # nor do two of which the other system got one wrong: 2 errors less 1
        ("SCICS", "CCCC", [3]),  # nor two with a word inserted between
        ("SICCS", "CCCC", [2, 1]),  # before them it may be
        ("CCI", "CC", [1]),
        ("IIS", "S", [2]),
        ("III", "I", [2]),  # an empty reference
        ("SCCC", "SCCC", [0]),  # equal errors are a segment, too
        ("CCC", "CCC", []),
    ],
)
def test_segments_lie_between_two_words_that_both_got_right(first, second, segments):
    ours = mapsswe([first], [second])
    assert ours.segments == len(segments)
    assert ours.mean == (sum(segments) / len(segments) if segments else 0.0)


def test_an_utterances_end_ends_a_segment():
    assert mapsswe(["CS", "SC"], ["CC", "CC"]) == MatchedPairs(segments=2, mean=1.0, std=0.0)


def test_exchanged_systems_change_the_sign_alone():
    chance = random.Random(3)
    first, second = (["".join(chance.choices("CCCCSD", k=30)) for _ in range(20)] for _ in range(2))
    one, other = mapsswe(first, second), mapsswe(second, first)
    assert (one.segments, one.mean, one.std, one.z, one.p) == (
        other.segments,
        -other.mean,
        other.std,
        -other.z,
        other.p,
    )


def test_equal_systems_do_not_differ():
    for aligned in (["CCC", "C"], ["CSC", "DDD"], [""]):
        ours = mapsswe(aligned, aligned)
        assert (ours.mean, ours.z, ours.p, ours.detectable(0.05, 7)) == (0.0, 0.0, 1.0, None)


def test_p_is_the_two_sided_normal_probability():
    assert MatchedPairs(100, 0.196, 1.0).p == pytest.approx(0.05, abs=1e-5)  # z is 1.96
    assert MatchedPairs(100, -0.2575829, 1.0).p == pytest.approx(0.01, abs=1e-8)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_a_difference_is_significant_exactly_above_the_smallest_detectable(alpha):
    segments, std, words = 120, 1.3, 2_000
    smallest = MatchedPairs(segments, 0.0, std).detectable(alpha, words)
    assert smallest is not None
    for factor, significant in ((0.999, False), (1.001, True)):
        errors = factor * smallest * words / 100
        assert (MatchedPairs(segments, errors / segments, std).p < alpha) == significant
