"""What was said beside what was heard, word under word, with the errors marked."""

from collections.abc import Iterator

import kaldialign

_NOTHING = "\0"  # no word contains it


def marked(reference: str, hypothesis: str, width: int) -> Iterator[tuple[str, str, str]]:
    """Aligns two texts as sclite shows them.

    Args:
        reference: what was said.
        hypothesis: what was heard.
        width: characters of the longest line.

    Yields:
        For each stretch that fits into the width three lines: said, heard, and below every wrong word S (substituted),
        D (deleted) or I (inserted). Asterisks stand where the other text has a word and this one has none.
    """
    lines = ("", "", "")
    for said, heard in kaldialign.align(reference.split(), hypothesis.split(), _NOTHING):
        word = _column(said, heard)
        if lines[0] and len(lines[0]) + 1 + len(word[0]) > width:
            yield _trimmed(lines)
            lines = ("", "", "")
        lines = word if not lines[0] else tuple(f"{line} {part}" for line, part in zip(lines, word, strict=True))
    if lines[0]:
        yield _trimmed(lines)


def _column(said: str, heard: str) -> tuple[str, str, str]:
    size = max(len(word) for word in (said, heard) if word != _NOTHING)
    mark = " " if said == heard else "I" if said == _NOTHING else "D" if heard == _NOTHING else "S"
    return _padded(said, size), _padded(heard, size), mark.ljust(size)


def _padded(word: str, size: int) -> str:
    return "*" * size if word == _NOTHING else word.ljust(size)


def _trimmed(lines: tuple[str, ...]) -> tuple[str, str, str]:
    said, heard, marks = (line.rstrip() for line in lines)
    return said, heard, marks
