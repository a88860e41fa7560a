"""NIST transcription files (``.trn``): a line per utterance, ``text (id)``, as sclite reads them."""

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, unquote

COMMENTS = (";;", "**")  # what a comment line begins with
_LINE = re.compile(r"^(?P<text>.*?)\s*\((?P<id>[^()\s]+)\)\s*$")


def write_trn(path: str | Path, utterances: Iterable[tuple[str, str]]) -> None:
    """Write utterances in the given order, UTF-8.

    White space, round brackets and ``%`` in an id are written as in a web address (``%20``), because sclite would
    misread them; ``read_trn`` turns them back.

    Args:
        path: the file to write; its folder must exist.
        utterances: pairs of id and text, which is written in one line with single spaces.

    Raises:
        ValueError: if an id is empty or twice there, or a text begins with ``;;`` or ``**``, which mark comments.
    """
    lines, seen = [], set()
    for name, text in utterances:
        if not name or name in seen:
            raise ValueError(
                "a .trn file requires ids that are unique and not empty, "
                f"found {'a second ' if name in seen else ''}{name!r}; rename the utterance"
            )
        seen.add(name)
        line = f"{' '.join(text.split())} ({_written(name)})\n".lstrip()
        if line.startswith(COMMENTS):
            raise ValueError(
                f"a .trn file requires texts that do not begin with '{line[:2]}' (a comment), "
                f"found {text!r} of {name!r}; normalise the text"
            )
        lines.append(line)
    Path(path).write_text("".join(lines), encoding="utf-8")


def read_trn(path: str | Path) -> list[tuple[str, str]]:
    """Read pairs of id and text in the file's order; comment lines (``;;``, ``**``) and empty ones are skipped.

    Raises:
        ValueError: if the file is not UTF-8, a line does not end in an id in round brackets, or an id is twice there.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"a .trn file requires text in UTF-8, found {path} in another encoding ({error}); convert it, for instance "
            "with iconv"
        ) from error
    utterances: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith(COMMENTS):
            continue
        match = _LINE.match(line)
        if match is None:
            raise ValueError(
                f"a .trn file requires lines of the form 'text (id)', found {line!r} in line {number} of {path}; "
                "correct the line"
            )
        name = unquote(match["id"])
        if name in utterances:
            raise ValueError(
                f"a .trn file requires each id once, found a second {name!r} in line {number} of {path}; "
                "remove one of the two lines"
            )
        utterances[name] = match["text"]
    return list(utterances.items())


def _written(name: str) -> str:
    return re.sub(r"[%()\s]", lambda found: quote(found[0], safe=""), name)
