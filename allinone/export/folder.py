"""A folder that appears complete or not at all."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def complete_folder(folder: Path, *, replaceable: Callable[[Path], bool]) -> Iterator[Path]:
    """Yields an empty temporary folder next to ``folder``, which takes its place when the block ends without an error.

    On any error the temporary folder is removed, and ``folder`` and what is above it are as before.

    Args:
        folder: the folder to write; it may be missing or empty, and so may those above it.
        replaceable: whether a folder that exists and is not empty may be replaced.

    Raises:
        ValueError: if ``folder`` is a file, or is not empty and may not be replaced.
    """
    target = folder.expanduser().resolve()
    _check_free(target, replaceable)
    missing = [parent for parent in target.parents if not parent.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    unique = uuid.uuid4().hex[:8]
    partial = target.with_name(f".{target.name}.{unique}.partial")
    partial.mkdir()
    try:
        yield partial
        for path in (*partial.iterdir(), partial):
            _flush(path)
        _check_free(target, replaceable)  # writing takes a while: someone may have been faster
        _move(partial, target, aside=target.with_name(f".{target.name}.{unique}.replaced"))
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        with suppress(OSError):  # someone else's files may stand in them by now
            for parent in missing:
                parent.rmdir()
        raise


def _check_free(target: Path, replaceable: Callable[[Path], bool]) -> None:
    if target.exists() and not target.is_dir():
        raise ValueError(f"The output must be a folder; found a file at {target}. Name another folder.")
    if target.is_dir() and any(target.iterdir()) and not replaceable(target):
        found = sorted(path.name for path in target.iterdir())
        raise ValueError(
            "The output must be a folder that is new or empty, or that holds an earlier export and nothing else which "
            f"may be overwritten; found {', '.join(found[:5])} in {target}. "
            "Name another folder, or replace an earlier export with overwrite=true."
        )


def _move(partial: Path, target: Path, aside: Path) -> None:
    if not target.exists() or not any(target.iterdir()):
        partial.rename(target)
        return
    target.rename(aside)
    try:
        partial.rename(target)
    except BaseException:
        aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _flush(path: Path) -> None:
    """Waits until a file or a folder's entries are on the disk, so that a power failure leaves no empty files."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
