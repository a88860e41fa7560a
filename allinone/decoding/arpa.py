"""The words of an n-gram in the ARPA format, as SRILM, KenLM and IRSTLM write it."""

import gzip
from collections.abc import Iterator
from pathlib import Path

_SPECIAL = ("<s>", "</s>", "<unk>", "<UNK>")
_GZIP = b"\x1f\x8b"


def arpa_words(path: Path) -> list[str]:
    """The words of an n-gram, from its unigrams; the marks of sentences and of unknown words are none.

    Args:
        path: an ARPA file, which may be compressed with gzip.

    Raises:
        ValueError: if there is no such file, or it is none in this format.
    """
    if not path.is_file():
        raise ValueError(
            f"A beam search with an n-gram requires an ARPA file; found none at {path.absolute()}. "
            "Correct the path (decoder.ngram)."
        )
    try:
        words = [word for word in _unigrams(path) if word not in _SPECIAL]
    except (UnicodeDecodeError, OSError, EOFError) as error:
        raise ValueError(_refusal(path, f"cannot be read as text ({error})")) from error
    if not words:
        raise ValueError(_refusal(path, r"has no words below \1-grams:"))
    return words


def _unigrams(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP
    inside = False
    with (gzip.open if compressed else open)(path, "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            fields = line.strip("\n").replace("\t", " ").split(" ")
            if line.startswith("\\"):
                if inside:
                    return
                inside = line.strip() == "\\1-grams:"
            elif inside and len(fields) > 1:
                yield fields[1].rstrip("\r")


def _refusal(path: Path, found: str) -> str:
    return (
        f"An n-gram must be an ARPA file (plain, or compressed with gzip); found {path}, which {found}. Write one with "
        "a tool such as KenLM, SRILM or IRSTLM: as text, not in a binary form."
    )
