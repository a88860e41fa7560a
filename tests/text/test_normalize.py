"""Normalisation gives what is spoken, and leaves to the tokenizer what it cannot know."""

import pytest

from allinone.text import CharTokenizer, Normalizer


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("You couldn't pilot your way out.", "you couldn't pilot your way out"),
        ("“Hello,” she said… ‘twas", "hello she said 'twas"),
        ("Super Soldier Treatment^_, and I’m tough", "super soldier treatment and i'm tough"),
        ("<gulp> well-known -- thing —  yes", "well known thing yes"),
        ("<gulp>", ""),
        ("?!...", ""),
        (" ' ' ", ""),
        ("cafe\u0301", "caf\u00e9"),
        ("\tI   know\n", "i know"),
        ("the 'thing' o'clock goin'", "the 'thing' o'clock goin'"),
    ],
)
def test_normalised_text_is_what_is_spoken(written, spoken):
    assert Normalizer()(written) == spoken


def test_normalising_twice_changes_nothing():
    text = "“Trader Bob's” 24-Hour^_ <koff> Store & Co."
    assert Normalizer()(Normalizer()(text)) == Normalizer()(text)


def test_digits_and_signs_stay_for_the_tokenizer_to_name():
    assert CharTokenizer().unknown(Normalizer()("It's 24 & more.")) == {"2", "4", "&"}


def test_a_normalizer_is_a_value():
    assert Normalizer(lower=False)("Ab, c") == "Ab c"
    assert Normalizer() == Normalizer()
    assert hash(Normalizer()) == hash(Normalizer())


def test_a_wrong_pattern_is_refused():
    with pytest.raises(ValueError, match=r"requires 'marks' to be a regular expression, found '\('.*; correct"):
        Normalizer(marks="(")
