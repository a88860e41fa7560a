"""Every tokenizer decodes what it encodes, keeps label 0 for the blank, and names what it cannot write."""

import json
import pickle

import pytest

from allinone.tasks.description import describe, restore
from allinone.text import BLANK, CharTokenizer, SentencePieceTokenizer, Tokenizer

TEXTS = ["the cat sat on the mat", "a cat and a hat", "that is that", "on and on it went", "what a tan hat"] * 3


@pytest.fixture(scope="module")
def pieces() -> SentencePieceTokenizer:
    return SentencePieceTokenizer.train(TEXTS, vocab_size=24)


@pytest.fixture(params=["char", "pieces"])
def tokenizer(request, pieces) -> Tokenizer:
    return CharTokenizer.train(TEXTS) if request.param == "char" else pieces


def test_decode_inverts_encode(tokenizer):
    for text in TEXTS:
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_label_zero_is_the_blank_and_no_text_gives_it(tokenizer):
    assert tokenizer.tokens[0] == BLANK
    assert len(tokenizer.tokens) == tokenizer.vocab_size == len(set(tokenizer.tokens))
    labels = {label for text in TEXTS for label in tokenizer.encode(text)}
    assert min(labels) >= 1
    assert max(labels) < tokenizer.vocab_size


def test_blanks_are_skipped_when_decoding(tokenizer):
    labels = tokenizer.encode(TEXTS[0])
    assert tokenizer.decode([0, *labels, 0]) == TEXTS[0]
    assert tokenizer.decode([]) == ""


def test_unknown_characters_are_refused_by_name(tokenizer):
    assert tokenizer.unknown("cat 24!") == {"2", "4", "!"}
    assert tokenizer.unknown(TEXTS[0]) == set()
    with pytest.raises(ValueError, match=r"requires characters .* found \['!', '2', '4'\] in 'cat 24!'; normalise"):
        tokenizer.encode("cat 24!")


def test_a_tokenizer_is_a_value_that_survives_pickling(tokenizer):
    tokenizer.encode(TEXTS[0])
    again = pickle.loads(pickle.dumps(tokenizer))
    assert again == tokenizer
    assert hash(again) == hash(tokenizer)
    assert again.encode(TEXTS[0]) == tokenizer.encode(TEXTS[0])


def test_a_tokenizer_rebuilds_from_its_fields(pieces):
    assert CharTokenizer(symbols=CharTokenizer().symbols) == CharTokenizer()
    assert SentencePieceTokenizer(model=pieces.model).tokens == pieces.tokens


def test_a_tokenizer_survives_the_json_of_a_checkpoint(tokenizer):
    assert restore(json.loads(json.dumps(describe(tokenizer)))) == tokenizer


def test_default_alphabet_has_29_labels():
    assert CharTokenizer().vocab_size == 29
    assert CharTokenizer().encode(" 'az") == [1, 2, 3, 28]


@pytest.mark.parametrize(("symbols", "found"), [("", "found none"), ("aba", "found twice: a")])
def test_impossible_alphabets_are_refused(symbols, found):
    with pytest.raises(ValueError, match=rf"requires at least one symbol and each only once, {found}; correct"):
        CharTokenizer(symbols)


def test_training_pieces_depends_on_the_texts_alone(pieces):
    assert SentencePieceTokenizer.train(TEXTS, vocab_size=24) == pieces


def test_more_pieces_than_the_text_has_are_refused():
    with pytest.raises(ValueError, match=r"requires texts that give 5000 pieces, found .*; lower vocab_size"):
        SentencePieceTokenizer.train(TEXTS, vocab_size=5000)


def test_a_foreign_model_is_refused():
    with pytest.raises(ValueError, match=r"requires a serialised model, found 7 bytes that are none; make one"):
        SentencePieceTokenizer(b"nothing")
