"""Whisper's labels: what texts become, what is skipped, what begins a text, and what is no such tokenizer."""

import json
import pickle
import re
from pathlib import Path

import pytest
from transformers import WhisperTokenizer

from allinone.decoding.lexicon import spell
from allinone.tasks.description import describe, restore
from allinone.text import BpeTokenizer, Tokenizer
from tests.whisper_tokenizer import LABELS, PIECES, SPECIAL, TEXTS, tokenizer_json, write_tokenizer

ENGLISH = " 'abcdefghijklmnopqrstuvwxyz"
SPECIAL_LABELS = [0, *range(PIECES + 1, LABELS)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def bpe(folder) -> BpeTokenizer:
    return BpeTokenizer.read(folder)


def test_it_is_a_tokenizer_that_decodes_what_it_encodes(bpe):
    assert isinstance(bpe, Tokenizer)
    for text in (*TEXTS, "Größe: 24 €, 日本", "<|endoftext|><|en|> <|0.00|>", ""):
        assert bpe.decode(bpe.encode(text)) == text
        assert bpe.unknown(text) == set()


def test_the_end_of_a_text_is_label_zero_and_the_others_keep_their_order(bpe):
    content = tokenizer_json()
    places = content["model"]["vocab"] | {token["content"]: token["id"] for token in content["added_tokens"]}
    named = sorted(places, key=places.__getitem__)
    stamps = ("<|0.00|>", "<|0.02|>", "<|0.04|>", "<|0.06|>", "<|0.08|>")
    assert bpe.tokens == ("<|endoftext|>", *(token for token in named if token != "<|endoftext|>"), *stamps)
    assert bpe.vocab_size == len(set(bpe.tokens)) == LABELS


@pytest.mark.parametrize("text", [*TEXTS, "Größe", "cat  cat"])
def test_labels_are_those_of_the_published_tokenizer_but_for_the_end(text, bpe, folder):
    theirs = WhisperTokenizer(tokenizer_file=str(folder / "tokenizer.json"))
    ids = theirs(f" {text}", add_special_tokens=False).input_ids
    assert bpe.encode(text) == [place + (place < PIECES) for place in ids]
    assert theirs.decode(ids).strip() == text


def test_no_text_gives_a_special_label_and_none_is_written(bpe):
    labels = {label for text in (*TEXTS, *SPECIAL, "<|0.00|>") for label in bpe.encode(text)}
    assert not labels.intersection(SPECIAL_LABELS)
    cat = bpe.encode("cat")
    assert bpe.decode([*bpe.prompt, *cat, *SPECIAL_LABELS]) == "cat"
    assert bpe.decode([]) == bpe.decode(SPECIAL_LABELS) == ""


def test_a_text_begins_with_a_space_and_ends_without(bpe):
    assert bpe.tokens[bpe.encode("the")[0]].startswith("Ġ")
    assert bpe.encode(" the ") == bpe.encode("the")


def test_characters_outside_the_alphabet_are_refused_by_name(folder):
    english = BpeTokenizer.read(folder, alphabet=ENGLISH)
    assert english.unknown("cat 24!") == {"2", "4", "!"}
    assert english.decode(english.encode("it's that")) == "it's that"
    with pytest.raises(ValueError, match=r"characters of the alphabet; found 2 4 in 'cat 24'\. Normalise the text"):
        english.encode("cat 24")
    with pytest.raises(ValueError, match=r"An alphabet must have the characters .*; found an empty one\. Name them"):
        BpeTokenizer.read(folder, alphabet="")


def test_the_prompt_of_an_english_network_tells_neither_language_nor_task(bpe):
    """Though its vocabulary has tokens of languages."""
    assert [bpe.tokens[label] for label in bpe.prompt] == ["<|startoftranscript|>", "<|notimestamps|>"]


@pytest.mark.parametrize(("language", "told"), [(None, "en"), ("en", "en"), ("de", "de")])
def test_the_prompt_of_a_multilingual_network_tells_both(tmp_path, language, told):
    bpe = BpeTokenizer.read(write_tokenizer(tmp_path, multilingual=True), language=language)
    expected = ["<|startoftranscript|>", f"<|{told}|>", "<|transcribe|>", "<|notimestamps|>"]
    assert [bpe.tokens[label] for label in bpe.prompt] == expected


@pytest.mark.parametrize(
    ("told", "asked", "language"), [("<|de|>", None, "de"), ("<|de|>", "en", "en"), ("german", None, "en")]
)
def test_the_language_is_that_of_the_directory_unless_another_is_asked_for(tmp_path, told, asked, language):
    generation = {"is_multilingual": True, "language": told}
    assert (
        BpeTokenizer.read(write_tokenizer(tmp_path, generation_config=generation), language=asked).language == language
    )


@pytest.mark.parametrize(("labels", "language"), [(51_864, None), (51_865, "en")])
def test_without_a_word_about_it_a_network_is_multilingual_by_its_number_of_labels(tmp_path, labels, language):
    """OpenAI's rule: English-only networks have 51,864."""
    config = {"model_type": "whisper", "vocab_size": labels}
    bpe = BpeTokenizer.read(write_tokenizer(tmp_path, config=config, generation_config={}))
    assert (bpe.vocab_size, bpe.language) == (labels, language)


def test_words_of_an_ngram_have_spellings(bpe):
    lexicon = spell(["cat", "that"], bpe)
    assert lexicon.separator is None
    assert lexicon.text(["that", "cat"], bpe) == "that cat"


@pytest.mark.parametrize("language", [None, "de"])
def test_it_is_a_value_that_survives_pickling_and_description(folder, tmp_path, language):
    places = write_tokenizer(tmp_path, multilingual=language is not None), folder
    bpe, other = (BpeTokenizer.read(place, ENGLISH, language if place == tmp_path else None) for place in places)
    bpe.encode("cat")
    for again in (pickle.loads(pickle.dumps(bpe)), restore(json.loads(json.dumps(describe(bpe))))):
        assert again == bpe
        assert hash(again) == hash(bpe)
        assert again.encode("the cat") == bpe.encode("the cat")
    assert (bpe == other) == (language is None)
    assert BpeTokenizer.read(folder) != other


def test_a_description_is_a_third_of_the_file(bpe, folder):
    assert len(json.dumps(describe(bpe))) < (folder / "tokenizer.json").stat().st_size / 3


def broken(**changes: object) -> dict[str, object]:
    content = tokenizer_json()
    content["model"] |= changes
    return content


def without(token: str) -> dict[str, object]:
    """With another token in the place of this one."""
    content = tokenizer_json()
    for added in content["added_tokens"]:
        added["content"] = added["content"].replace(token, "<|other|>")
    content["model"]["vocab"] = {
        other.replace(token, "<|other|>") if token in SPECIAL else other: place
        for other, place in content["model"]["vocab"].items()
    }
    return content


def gap() -> dict[str, object]:
    content = tokenizer_json()
    content["added_tokens"][-1]["id"] += 1
    return content


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"model": {"type": "BPE"}}, "bytes that are none ("),
        ({}, "bytes that are none ("),
        (broken(type="WordLevel", unk_token="a"), "WordLevel with 290 tokens, labels up to 289 and an <|endoftext|>"),
        (gap(), "BPE with 290 tokens, labels up to 290 and an <|endoftext|>. Copy it"),
        (without("<|endoftext|>"), "BPE with 290 tokens, labels up to 289 and no <|endoftext|>. Copy it"),
        (without("<|startoftranscript|>"), "one without <|startoftranscript|>. Copy it"),
        (without("<|notimestamps|>"), "one without <|notimestamps|>. Copy it"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_tokenizers_are_refused(tmp_path, content, found):
    folder = write_tokenizer(tmp_path, tokenizer=content)
    required = (
        "tokenizer.json: A byte-level BPE must give each label from 0 on to one token, and have Whisper's special"
    )
    with pytest.raises(ValueError, match=f"{re.escape(required)} tokens; found .*{re.escape(found)}"):
        BpeTokenizer.read(folder)


def test_pieces_that_cannot_write_every_byte_are_refused(tmp_path):
    content = tokenizer_json()
    vocab = content["model"]["vocab"]
    vocab["??"] = vocab.pop("~")
    with pytest.raises(ValueError, match=r"found one without ~\. Copy it again"):
        BpeTokenizer.read(write_tokenizer(tmp_path, tokenizer=content))


def test_a_missing_and_a_damaged_file_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"needs a tokenizer\.json; found none at"):
        BpeTokenizer.read(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match=r"tokenizer\.json must be a JSON document; found a damaged one .* Copy it"):
        BpeTokenizer.read(tmp_path)
    with pytest.raises(ValueError, match=r"found 7 bytes that are none"):
        BpeTokenizer(b"nothing")


def test_a_language_must_be_one_of_the_network(folder, tmp_path):
    with pytest.raises(ValueError, match=r"'de' requires a multilingual network; found one of English alone\. Leave"):
        BpeTokenizer.read(folder, language="de")
    with pytest.raises(ValueError, match=r"in the language 'xx' requires a token <\|xx\|>; found none\. Name another"):
        BpeTokenizer.read(write_tokenizer(tmp_path, multilingual=True), language="xx")
