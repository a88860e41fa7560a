"""The file of weights, read whole or, of nested integers, only as far as a precision needs it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from allinone.export.manifest import AGAIN
from allinone.export.tensors import Table, Weight, decode

_DTYPES = {"U8": torch.uint8, "F32": torch.float32}


def read_tensors(file: Path) -> dict[str, Tensor]:
    """All tensors of a file.

    Raises:
        ValueError: if it is no safetensors file.
    """
    try:
        return load_file(file)
    except safetensors.SafetensorError as error:
        raise _unreadable(file, error) from error


@dataclass(frozen=True)
class Reading:
    """What a precision needs of a file.

    Args:
        weights: by name, with integers of that precision.
        bytes_read: how many bytes of the tensors were read.
        bytes_stored: how many there are.
        sha256: of what was read, in the order of the table.
    """

    weights: dict[str, Weight]
    bytes_read: int
    bytes_stored: int
    sha256: str


def read_precision(file: Path, table: Table, bits: int) -> Reading:
    """The weights of a file with nested integers at a precision: of each matrix only the planes that say it are read.

    Args:
        file: of weights.
        table: how each is stored.
        bits: of the integers that are wanted, 2 to 8.

    Raises:
        ValueError: if it is no safetensors file, or the table does not describe it.
    """
    try:
        opened = safe_open(file, "pt")
    except safetensors.SafetensorError as error:
        raise _unreadable(file, error) from error
    with opened as tensors:
        parts = {name: _OnDisk(tensors.get_slice(name)) for name in tensors.keys()}  # noqa: SIM118
        weights = decode(parts, table, bits)
    digest = hashlib.sha256("".join(part.sha256.hexdigest() for _, part in sorted(parts.items())).encode())
    read, stored = (
        sum(sizes) for sizes in zip(*((part.bytes_read, part.nbytes) for part in parts.values()), strict=True)
    )
    return Reading(weights, read, stored, digest.hexdigest())


class _OnDisk:
    """A tensor of one dimension of which only what is asked for is read, counted and hashed."""

    def __init__(self, part: Any) -> None:
        self._part, self.sha256, self.bytes_read = part, hashlib.sha256(), 0
        self.shape, self.dtype = tuple(part.get_shape()), _DTYPES.get(part.get_dtype())

    def dim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        return len(self) * (self.dtype or torch.uint8).itemsize

    def __getitem__(self, where: slice) -> Tensor:
        if where.start == where.stop:
            return torch.empty(0, dtype=self.dtype)
        values = self._part[where]
        self.sha256.update(values.numpy())
        self.bytes_read += values.nbytes
        return values


def _unreadable(file: Path, error: Exception) -> ValueError:
    return ValueError(f"{file} must be a safetensors file; found one that cannot be read ({error}). {AGAIN}")
