"""Alignments: letter by letter those of NIST's sclite, on real, edited and adversarial texts."""

import random
from pathlib import Path

import kaldialign
import pytest

from allinone.scoring import edits, read_trn, trn_words
from tests.scoring.sctk import NAMES, ORACLE, SETS, letters, needs_sctk, random_texts, sc_stats, sclite, write_texts


def ours(folder: Path, name: str) -> dict[str, str]:
    """Our alignments of one system's file, by id as sclite writes it."""
    heard = dict(read_trn(folder / f"{name}.trn"))
    return {
        utterance.lower(): edits(trn_words(said), trn_words(heard[utterance]))
        for utterance, said in read_trn(folder / "ref.trn")
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("texts", SETS)
def test_alignments_are_those_of_sclite(texts, name):
    found = letters((ORACLE / texts / f"{name}.sgml").read_text(encoding="utf-8"))
    assert len(found) > 10
    assert ours(ORACLE / texts, name) == found


@needs_sctk
@pytest.mark.parametrize("texts", SETS)
def test_the_committed_output_is_the_tools_own(texts):
    folder = ORACLE / texts
    alignments = [sclite(folder, name) for name in NAMES]
    for name, alignment in zip(NAMES, alignments, strict=True):
        assert letters(alignment) == letters((folder / f"{name}.sgml").read_text(encoding="utf-8"))
    tests = [line for line in sc_stats(alignments, folder).splitlines() if line.startswith("MTCH_PR_RESULTS")]
    assert tests == (folder / "mapsswe.txt").read_text(encoding="utf-8").splitlines()


@needs_sctk
@pytest.mark.parametrize("seed", range(10))
def test_random_alignments_are_those_of_sclite(tmp_path, seed):
    references, hypotheses = random_texts(random.Random(seed), 200)
    write_texts(tmp_path, references, hypotheses)
    for name in NAMES:
        assert ours(tmp_path, name) == letters(sclite(tmp_path, name))


def test_no_alignment_weighs_less():
    chance = random.Random(0)
    for _ in range(300):
        said, heard = (chance.choices("abcd", k=chance.randint(0, 12)) for _ in range(2))
        columns = edits(said, heard)
        other = kaldialign.edit_distance(said, heard, sclite_mode=True)
        weight = 4 * columns.count("S") + 3 * (columns.count("D") + columns.count("I"))
        assert weight == 4 * other["sub"] + 3 * (other["del"] + other["ins"])
        assert len(columns.replace("I", "")) == len(said)
        assert len(columns.replace("D", "")) == len(heard)


@pytest.mark.parametrize(
    ("said", "heard", "columns"),
    [
        ("", "", ""),
        ("a b", "", "DD"),
        ("", "a b", "II"),
        ("a b", "a b", "CC"),
        ("a b c", "c d e", "SSS"),  # two deletions, a correct word and two insertions weigh as much: 3 x 4 = 4 x 3
        ("a", "b c", "IS"),  # from the end a pair comes before a gap
        ("a b", "c", "DS"),
    ],
)
def test_among_equals_the_choice_is_sclites(said, heard, columns):
    assert edits(said.split(), heard.split()) == columns
