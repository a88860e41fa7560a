"""Importing: how lhotse's importers are run, and how a corpus of another layout is told."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

from lhotse import Recording, SupervisionSegment
from lhotse.audio import audio_backend

_NAMED = 12


@contextmanager
def importing(corpus: str, advice: str) -> Iterator[None]:
    """Run an importer: it reads headers with soundfile, draws no progress bars, and tells what it does not like.

    Args:
        corpus: what is imported, for the error.
        advice: what to do when it fails.

    Raises:
        ValueError: if the importer raises anything.
    """
    try:
        with audio_backend("LibsndfileBackend"), redirect_stderr(io.StringIO()):
            yield
    except Exception as error:  # importers raise whatever they like
        raise ValueError(
            f"{corpus} requires complete transcripts and audio that soundfile reads, found: {_cause(error)}; {advice}"
        ) from error


def contents(manifests: Mapping[str, Any]) -> tuple[dict[str, Recording], list[SupervisionSegment]]:
    """What an importer found: recordings by their ids, and what is said in them, in the order of the ids."""
    recordings: list[Recording] = list(manifests["recordings"])
    pieces: list[SupervisionSegment] = list(manifests["supervisions"])
    return {recording.id: recording for recording in recordings}, sorted(pieces, key=lambda piece: piece.id)


def require_folder(path: Path, corpus: str, expected: str, setting: str) -> None:
    """Raises ValueError, with what lies there instead, if there is no such folder."""
    if not path.is_dir():
        raise ValueError(
            f"{corpus} requires {expected} at {path.absolute()}, found {inside(path.parent)}; "
            f"unpack it there, or correct {setting}"
        )


def inside(folder: Path) -> str:
    """What a folder, or the nearest one above it that exists, holds, for an error: at most a dozen names."""
    folder = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"in {folder}: {', '.join(names[:_NAMED]) or 'nothing'}{more}"


def _cause(error: Exception) -> str:
    """The first line of an error, or its kind where it says nothing."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
