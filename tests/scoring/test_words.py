"""Words of .trn files: what sclite takes off them, and what is refused."""

import random

import pytest

from allinone.scoring import edits, trn_words
from tests.scoring.sctk import letters, needs_sctk, sclite, write_texts

MARKED = [
    "a",
    "A",
    "b*",
    "b",
    "b**",
    "*",
    "c;d",
    "c",
    ";",
    ";e",
    "f\\g",
    "fg",
    "\\",
    "h\\;i",
    "(k)",
    "k",
    "}",
    "/",
    "-m",
]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("  The cat\tSAT ", ["the", "cat", "sat"]),
        ("b* b** *", ["b", "b*", "*"]),
        ("verb;tag;tag ;", ["verb", ""]),
        ("back\\slash h\\;i;j", ["backslash", "h;i"]),
        ("@ (uh) @x @", ["(uh)", "@x"]),
        ("", []),
    ],
)
def test_marks_of_sclite_are_no_part_of_a_word(text, words):
    assert trn_words(text) == words


def test_capitals_differ_where_asked():
    assert trn_words("The É", case_sensitive=True) == ["The", "É"]
    assert trn_words("The É") == ["the", "é"]


@pytest.mark.parametrize("text", ["{ a / b } c", "a{b", "{"])
def test_a_choice_of_texts_is_refused(text):
    with pytest.raises(ValueError, match=r"requires one text .*; found a choice in curly brackets: .* Write one of"):
        trn_words(text)


@needs_sctk
def test_marked_words_are_those_of_sclite(tmp_path):
    chance = random.Random(1)
    # a first word without marks: a line must not begin like a comment
    said, heard = ([" ".join(["z", *chance.choices(MARKED, k=7)]) for _ in range(500)] for _ in range(2))
    write_texts(tmp_path, said, {"first": heard})
    theirs = letters(sclite(tmp_path, "first"))
    ours = [edits(trn_words(one), trn_words(other)) for one, other in zip(said, heard, strict=True)]
    assert ours == list(theirs.values())
