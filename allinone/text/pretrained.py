"""The labels of a Hugging Face directory: of a CTC output, or of Whisper's decoder."""

from pathlib import Path

from allinone.text.bpe import TOKENIZER, BpeTokenizer
from allinone.text.json_file import read_optional
from allinone.text.tokenizer import Tokenizer
from allinone.text.vocabulary import VOCABULARY, VocabularyTokenizer


def read_tokenizer(folder: str | Path | None, alphabet: str | None = None, language: str | None = None) -> Tokenizer:
    """The tokenizer of a directory: of ``tokenizer.json`` if its config is Whisper's, or else of ``vocab.json``.

    Args:
        folder: the directory.
        alphabet: characters that transcripts may hold, see :class:`BpeTokenizer`; None allows all that have labels.
        language: of the speech, for a multilingual Whisper; see :meth:`BpeTokenizer.read`.

    Raises:
        ValueError: if no directory is named; if it has no such file, or one that does not serve; if alphabet or
            language are named where the vocabulary itself is the alphabet.
    """
    if folder is None:
        raise ValueError(
            f"tokenizer=pretrained requires a directory with a {VOCABULARY}, or Whisper's {TOKENIZER}; found none "
            "named. Give tokenizer.folder=DIR, or init=DIR."
        )
    if read_optional(Path(folder) / "config.json").get("model_type") == "whisper":
        return BpeTokenizer.read(folder, alphabet, language)
    if alphabet is not None or language is not None:
        raise ValueError(
            f"An alphabet and a language are for Whisper's {TOKENIZER}; found alphabet={alphabet!r} and "
            f"language={language!r} for the directory {folder}, whose {VOCABULARY} is the alphabet. Leave them out."
        )
    return VocabularyTokenizer.read(folder)
