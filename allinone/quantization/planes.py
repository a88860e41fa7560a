"""Integers of 8 bits as bit planes, the most significant first: whoever needs fewer bits reads the beginning alone.

Plane k of n integers holds bit 7 - k of each, in their order: bits ``k * n`` to ``(k + 1) * n - 1`` of the stream. Bit
i of the stream is bit ``i % 8`` of byte ``i // 8``. Planes follow each other without gaps: n integers take n bytes.
"""

import numpy as np
import torch
from torch import Tensor

PLANES = 8


def planes_needed(bits: int) -> int:
    """How many planes say what integers of fewer bits are (:class:`allinone.quantization.Nested`): one more."""
    return min(bits + 1, PLANES)


def planes_bytes(count: int, planes: int) -> int:
    """Bytes of the first planes of so many integers; the last byte may hold bits of the next plane."""
    return -(-count * planes // 8)


def pack_planes(integers: Tensor) -> Tensor:
    """All planes of integers, row by row.

    Args:
        integers: int8 tensor of any shape.

    Returns:
        uint8 tensor ``(integers.numel(),)`` on the CPU.
    """
    assert integers.dtype == torch.int8
    flat = integers.detach().cpu().contiguous().view(torch.uint8).numpy().reshape(-1, 1)
    return torch.from_numpy(np.packbits(np.unpackbits(flat, axis=1).T, bitorder="little"))


def unpack_planes(packed: Tensor, planes: int, count: int) -> Tensor:
    """The most significant bits of integers: whole ones from all planes, else floor(integer / 2^(8 - planes)).

    Args:
        packed: uint8 tensor ``(planes_bytes(count, planes),)``, the beginning of what :func:`pack_planes` gave.
        planes: how many planes are read, 1 to 8.
        count: how many integers there are.

    Returns:
        int8 tensor ``(count,)`` on the CPU.
    """
    assert packed.dtype == torch.uint8
    assert len(packed) == planes_bytes(count, planes)
    stream = np.unpackbits(packed.numpy(), count=count * planes, bitorder="little").reshape(planes, count)
    (first,) = np.packbits(stream, axis=0)  # the planes that are missing are zeros
    return torch.from_numpy(first.view(np.int8) >> (PLANES - planes))
