"""Slices: they divide all utterances and all words, and say of each word whether it was heard."""

import random
from collections import Counter

import pytest

from allinone.scoring import ErrorCounts, word_errors
from allinone.scoring.slices import Slicing, Utterance

UTTERANCES = {
    "1": Utterance("a b", 1.0, "ann"),
    "2": Utterance("a c", 2.0, "bob"),
    "3": Utterance("c d", 4.9, "ann"),
    "4": Utterance("d", 5.0),
}
TEXTS = {"1": "a b", "2": "a", "3": "x d e", "4": "d"}
SEEN = {"a": 5, "b": 4, "c": 1}


def test_slices_of_a_known_test_set():
    assert Slicing().slices(UTTERANCES, TEXTS, SEEN) == {
        "speaker": {"ann": ErrorCounts(1, 0, 1, 4), "bob": ErrorCounts(0, 1, 0, 2)},
        "seconds": {"<2": ErrorCounts(0, 0, 0, 2), "2-5": ErrorCounts(1, 1, 1, 4), ">=5": ErrorCounts(0, 0, 0, 1)},
        "seen": {"0": ErrorCounts(0, 0, 0, 2), "1-4": ErrorCounts(1, 1, 0, 3), ">=5": ErrorCounts(0, 0, 0, 2)},
    }


def test_what_is_not_known_or_not_there_is_left_out():
    utterances = {"1": Utterance("a", 1.0)}
    assert Slicing().slices(utterances, {"1": "a"}, None) == {"seconds": {"<2": ErrorCounts(0, 0, 0, 1)}}


def test_bounds_name_their_slices_in_order():
    slicing = Slicing(seconds=[0.5, 1, 30], seen=[1, 2, 10, 20])  # pyright: ignore[reportArgumentType]
    utterances = {
        str(place): Utterance(word, seconds)
        for place, (seconds, word) in enumerate([(40, "e"), (0.4, "a"), (1, "c"), (0.5, "b"), (2, "d")])
    }
    found = slicing.slices(utterances, dict.fromkeys(utterances, ""), {"b": 1, "c": 9, "d": 19, "e": 20})
    assert list(found["seconds"]) == ["<0.5", "0.5-1", "1-30", ">=30"]
    assert list(found["seen"]) == ["0", "1", "2-9", "10-19", ">=20"]


def test_slices_add_up_to_the_whole():
    chance = random.Random(0)
    texts = [" ".join(chance.choices("abcdef", k=chance.randint(0, 8))) for _ in range(400)]
    utterances = {
        str(place): Utterance(text, chance.uniform(0, 8), chance.choice("xyz"))
        for place, text in enumerate(texts[:200])
    }
    heard = dict(zip(utterances, texts[200:], strict=True))
    total = sum((word_errors(said.text, heard[name]) for name, said in utterances.items()), ErrorCounts())
    slices = Slicing().slices(utterances, heard, Counter("abbcccddddeeeee"))
    # empty references have insertions but no words: they are kept here because their slices have other words
    assert sum(slices["speaker"].values(), ErrorCounts()) == total
    assert sum(slices["seconds"].values(), ErrorCounts()) == total
    words = sum(slices["seen"].values(), ErrorCounts())
    assert (words.words, words.insertions) == (total.words, 0)
    assert total.errors - total.insertions <= words.errors <= total.errors


@pytest.mark.parametrize("bounds", [{"seconds": []}, {"seconds": [0, 1]}, {"seen": [3, 3]}, {"seen": [2, 1]}])
def test_bounds_that_do_not_rise_are_refused(bounds):
    (name, values), *_ = bounds.items()
    with pytest.raises(ValueError, match=rf"positive and rising, at least one; found {name}=\[.*\]\. Correct them"):
        Slicing(**bounds)
    assert values == list(values)
