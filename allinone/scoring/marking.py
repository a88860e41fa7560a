"""What was said beside what was heard, word under word, with the errors marked."""

from collections.abc import Iterator

from allinone.scoring.alignment import edits


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
    said, heard = reference.split(), hypothesis.split()
    left_said, left_heard = iter(said), iter(heard)
    for letter in edits(said, heard):
        word = _column("" if letter == "I" else next(left_said), "" if letter == "D" else next(left_heard), letter)
        if lines[0] and len(lines[0]) + 1 + len(word[0]) > width:
            yield _trimmed(lines)
            lines = ("", "", "")
        lines = word if not lines[0] else tuple(f"{line} {part}" for line, part in zip(lines, word, strict=True))
    if lines[0]:
        yield _trimmed(lines)


def _column(said: str, heard: str, letter: str) -> tuple[str, str, str]:
    size = max(len(said), len(heard))
    return _padded(said, size), _padded(heard, size), letter.replace("C", " ").ljust(size)


def _padded(word: str, size: int) -> str:
    return word.ljust(size) if word else "*" * size


def _trimmed(lines: tuple[str, ...]) -> tuple[str, str, str]:
    said, heard, marks = (line.rstrip() for line in lines)
    return said, heard, marks
