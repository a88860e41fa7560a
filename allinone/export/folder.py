"""A folder that appears complete or not at all."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def complete_folder(folder: Path, *, replaceable: Callable[[Path], bool]) -> Iterator[Path]:
    """Yields an empty temporary folder next to ``folder``, which takes its place when the block ends without an error.

    On any error the temporary folder is removed and ``folder`` is as it was before.

    Args:
        folder: the folder to write; it may be missing or empty.
        replaceable: whether a folder that exists and is not empty may be replaced.

    Raises:
        ValueError: if ``folder`` is a file, or is not empty and may not be replaced.
    """
    target = folder.expanduser().resolve()
    _check_free(target, replaceable)
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
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_free(target: Path, replaceable: Callable[[Path], bool]) -> None:
    if target.exists() and not target.is_dir():
        raise ValueError(f"The output must be a folder; found a file at {target}. Name another folder.")
    if target.is_dir() and any(target.iterdir()) and not replaceable(target):
        raise ValueError(
            f"The output folder must be new, empty, or an earlier export that is to be replaced; found other files in "
            f"{target}. Name another folder, or allow an earlier export to be replaced with overwrite=true."
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
