"""A directory's config says which kind of labels it has."""

import json

import pytest

from allinone.text import BpeTokenizer, VocabularyTokenizer, read_tokenizer
from tests.whisper_tokenizer import write_tokenizer


def test_the_labels_of_a_ctc_network_are_those_of_its_vocabulary(tmp_path):
    (tmp_path / "vocab.json").write_text(json.dumps({"<pad>": 0, "a": 1}))
    assert read_tokenizer(tmp_path) == VocabularyTokenizer(("<pad>", "a"))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "hubert"}))
    assert read_tokenizer(str(tmp_path)) == VocabularyTokenizer(("<pad>", "a"))
    for wrong in ({"alphabet": "a"}, {"language": "en"}):
        with pytest.raises(ValueError, match=r"are for Whisper's tokenizer\.json; found alphabet=.*\. Leave them out"):
            read_tokenizer(tmp_path, **wrong)


@pytest.mark.parametrize("arguments", [(None, None), ("abc", "de")])
def test_the_labels_of_whisper_are_those_of_its_decoder(tmp_path, arguments):
    """Though its directory has a vocabulary, too."""
    folder = write_tokenizer(tmp_path, multilingual=True, vocab={"a": 0})
    assert read_tokenizer(folder, *arguments) == BpeTokenizer.read(folder, *arguments)


def test_a_directory_has_to_be_named():
    with pytest.raises(
        ValueError, match=r"requires a directory with .*; found none named\. Give tokenizer\.folder=DIR"
    ):
        read_tokenizer(None)
