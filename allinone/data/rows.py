"""Rows: one utterance as its corpus names it, and the names that splits have."""

import re
from dataclasses import dataclass

from lhotse import Recording

SPLITS = ("train", "dev", "test")

_KINDS = {"train": "train", "training": "train", "dev": "dev", "valid": "dev", "validation": "dev", "val": "dev"}
_KINDS |= {"test": "test", "eval": "test"}


@dataclass(frozen=True)
class Segment:
    """A stretch of one channel of a longer recording.

    Attributes:
        start: where it begins, in seconds.
        duration: in seconds.
        channel: counted from 0.
    """

    start: float
    duration: float
    channel: int = 0


@dataclass(frozen=True)
class Row:
    """One utterance as its corpus names it.

    Attributes:
        id: its name, unique in the corpus.
        audio: path of the recording, or its name inside the corpus's archive (the suffix may be left out there).
        text: the transcript as written.
        split: ``train``, ``dev`` or ``test``, or a named part of the latter two, such as ``test-other``; empty when
            the corpus gives none.
        speaker: empty when unknown.
        problem: why the row cannot be used at all, a reason of the data report and its detail; None when it can.
        recording: what an importer of lhotse has read of the recording's header; such audio is never copied into a
            cache, it is read where it is. None when nothing has been read yet.
        segment: the part of ``recording`` that is spoken; None for the whole.
    """

    id: str
    audio: str
    text: str
    split: str = ""
    speaker: str = ""
    problem: tuple[str, str] | None = None
    recording: Recording | None = None
    segment: Segment | None = None


def check_split(name: str) -> None:
    """Raises ValueError unless a split, or a named part of one, may have this name."""
    if name.partition("-")[0] not in SPLITS:
        raise ValueError(
            f"split must be one of {', '.join(SPLITS)} or a part of one, such as test-other; found {name!r}. "
            "Choose one of these."
        )


def split_name(name: str) -> str:
    """The split that a name stands for: ``train`` for train-clean-100, ``dev`` for valid, ``test-other`` for itself.

    Everything to learn from is one split; sets that are scored keep their names apart. Empty if the name begins with
    no split.
    """
    kind, _, rest = re.sub(r"[-_\s]+", "-", name.strip().lower()).partition("-")
    split = _KINDS.get(kind, "")
    return f"{split}-{rest}" if rest and split in ("dev", "test") else split


def in_split(name: str, split: str) -> bool:
    """Whether a split is the one asked for, or a part of it: ``test-other`` is in ``test``."""
    return name == split or name.startswith(f"{split}-")
