"""Tests of said beside heard."""

import random

from allinone.scoring import word_errors
from allinone.scoring.marking import marked


def test_every_kind_of_error_is_marked_below_its_word():
    assert list(marked("a paper bag", "the paper thin", 40)) == [("a   paper bag", "the paper thin", "S         S")]
    assert list(marked("one two", "one", 40)) == [("one two", "one ***", "    D")]
    assert list(marked("one", "one two", 40)) == [("one ***", "one two", "    I")]
    assert list(marked("", "", 40)) == []


def test_nothing_is_marked_when_nothing_is_wrong():
    assert list(marked("all is well", "all is well", 40)) == [("all is well", "all is well", "")]


def test_marks_are_the_errors_that_are_counted_and_lines_fit():
    chance = random.Random(0)
    for _ in range(200):
        said, heard = (" ".join(chance.choices(("a", "bb", "ccc", "dddd"), k=chance.randint(0, 9))) for _ in range(2))
        stretches = list(marked(said, heard, 12))
        counts = word_errors(said, heard)
        marks = "".join(marks for _, _, marks in stretches)
        assert (marks.count("S"), marks.count("D"), marks.count("I")) == (
            counts.substitutions,
            counts.deletions,
            counts.insertions,
        )
        assert all(len(line) <= 12 for stretch in stretches for line in stretch)
        assert " ".join(line for line, _, _ in stretches).replace("*", "").split() == said.split()
        assert " ".join(line for _, line, _ in stretches).replace("*", "").split() == heard.split()
