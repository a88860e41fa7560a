"""The vocabulary of a published network: what texts become, what is skipped, and what is no vocabulary."""

import json
import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from transformers import Wav2Vec2CTCTokenizer

from allinone.decoding.lexicon import spell
from allinone.tasks.description import describe, restore
from allinone.text import Tokenizer, VocabularyTokenizer
from tests.published import SYMBOLS

ENGLISH = VocabularyTokenizer(SYMBOLS)
TEXTS = ["the cat sat on the mat", "it's", ""]


def write(folder: Path, symbols: Mapping[str, object] | list[str], **files: Mapping[str, object]) -> Path:
    labels = symbols if isinstance(symbols, Mapping) else {symbol: label for label, symbol in enumerate(symbols)}
    (folder / "vocab.json").write_text(json.dumps(labels))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_it_is_a_tokenizer_that_decodes_what_it_encodes():
    assert isinstance(ENGLISH, Tokenizer)
    for text in TEXTS:
        assert ENGLISH.decode(ENGLISH.encode(text)) == text
    assert ENGLISH.vocab_size == len(ENGLISH.tokens) == len(set(ENGLISH.tokens)) == 32


@pytest.mark.parametrize("text", TEXTS[:2])
def test_labels_are_those_of_the_published_tokenizer(text, tmp_path):
    theirs = Wav2Vec2CTCTokenizer(str(write(tmp_path, list(SYMBOLS)) / "vocab.json"))
    assert ENGLISH.encode(text) == theirs(text.upper()).input_ids
    assert theirs.decode(ENGLISH.encode(text), group_tokens=False) == text.upper()


def test_special_symbols_are_skipped_and_never_written():
    assert ENGLISH.decode([4, 0, 1, 5, 3, 2, 4, 4, 6, 4]) == "e t"
    assert ENGLISH.unknown("<s>|É1") == {"<", ">", "|", "É", "1"}
    with pytest.raises(ValueError, match=r"that the vocabulary has; found 1 2 in 'e 12'\. Normalise the text further"):
        ENGLISH.encode("e 12")


def test_letters_are_written_in_the_case_that_texts_have():
    assert VocabularyTokenizer(("<pad>", "a", "|")).encode("a a") == [1, 2, 1]
    both = VocabularyTokenizer(("[PAD]", "a", "A", "B", " ", "|"))
    assert both.tokens == ("[PAD]", "a", "A", "b", " ", "|")
    assert both.encode("aA b|") == [1, 2, 4, 3, 5]


def test_words_of_an_ngram_end_in_the_label_of_the_space():
    lexicon = spell(["tea"], ENGLISH)
    assert lexicon.separator == 4
    assert lexicon.spellings == {"tea": (6, 5, 7, 4)}


def test_it_is_a_value_that_survives_pickling_and_description():
    assert pickle.loads(pickle.dumps(ENGLISH)) == ENGLISH
    again = restore(json.loads(json.dumps(describe(ENGLISH))))
    assert again == ENGLISH
    assert hash(again) == hash(VocabularyTokenizer(list(SYMBOLS)))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "symbols", [("a", "b"), ("<pad>",), (), ("<pad>", "a", "a"), ("<pad>", "ab"), ("<pad>", "")], ids=str
)
def test_other_vocabularies_are_refused(symbols):
    with pytest.raises(ValueError, match=r"must begin with the blank in brackets, .*; found .*\. Correct it; or move"):
        VocabularyTokenizer(symbols)


def test_a_blank_that_stands_elsewhere_becomes_the_first_label(tmp_path):
    folder = write(tmp_path, ["a", "|", "[PAD]", "[UNK]"], tokenizer_config={"pad_token": "[PAD]"})
    assert VocabularyTokenizer.read(folder).symbols == ("[PAD]", "a", "|", "[UNK]")


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"config": {"pad_token_id": 2}},
        {"special_tokens_map": {"pad_token": {"content": "<pad>"}}},
        {"tokenizer_config": {"pad_token": "<pad>"}, "config": {"pad_token_id": 2}},
    ],
    ids=str,
)
def test_the_blank_is_the_padding_symbol_wherever_that_is_named(tmp_path, files):
    assert VocabularyTokenizer.read(write(tmp_path, ["a", "b", "<pad>"], **files)).symbols[0] == "<pad>"


def test_symbols_that_were_added_later_have_labels(tmp_path):
    decoder = {"added_tokens_decoder": {"3": {"content": "<s>"}, "4": {"content": "</s>"}}}
    folder = write(tmp_path, ["<pad>", "a", "b"], added_tokens={"<s>": 3}, tokenizer_config=decoder)
    assert VocabularyTokenizer.read(folder).symbols == ("<pad>", "a", "b", "<s>", "</s>")


@pytest.mark.parametrize(
    ("symbols", "files", "message"),
    [
        ({"<pad>": 0, "a": 2}, {}, "must give each label from 0 on to one symbol; found 2 symbols with labels up to 2"),
        ({"<pad>": 0, "a": 0}, {}, "must give each label from 0 on to one symbol"),
        ({}, {}, "found 0 symbols with labels up to none"),
        ({"deu": {"a": 0}, "eng": {"a": 0}}, {}, "vocabulary of one language; found several (deu, eng)"),
        (["a", "b"], {}, "is the blank, and must be one symbol; found none. Name it in config.json (pad_token_id)"),
        (
            ["<pad>", "a", "[PAD]"],
            {"config": {"pad_token_id": 0}, "tokenizer_config": {"pad_token": "[PAD]"}},
            "must be one symbol; found [PAD] in tokenizer_config.json, <pad> in config.json",
        ),
    ],
)
def test_a_vocabulary_that_is_not_clear_is_refused(tmp_path, symbols, files, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        VocabularyTokenizer.read(write(tmp_path, symbols, **files))


def test_a_directory_has_to_have_a_vocabulary(tmp_path):
    with pytest.raises(ValueError, match=r"needs a vocab\.json; found none at"):
        VocabularyTokenizer.read(tmp_path)
