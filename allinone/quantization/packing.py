"""Integers of 2 to 8 bits, packed without gaps into bytes and back.

The stream is little-endian throughout: integer ``i``, in the two's complement of ``bits`` bits, occupies bits
``i * bits`` to ``(i + 1) * bits - 1`` of the stream, and bit ``k`` of the stream is bit ``k % 8`` of byte ``k // 8``.
Only the last byte can hold unused bits; they are zero. Eight integers fill exactly ``bits`` bytes, so both directions
work on groups of eight.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_GROUP = 8  # integers of at most 8 bits that one 64-bit word holds
_WORD = np.dtype("<u8")


def packed_bytes(count: int, bits: int) -> int:
    """Bytes that ``count`` integers of ``bits`` bits take: ``ceil(count * bits / 8)``."""
    _check_bits(bits)
    return -(-count * bits // 8)


def pack(integers: Tensor, bits: int) -> Tensor:
    """Packs integers row by row.

    Args:
        integers: int8 tensor of any shape, each integer in ``-2 ** (bits - 1) .. 2 ** (bits - 1) - 1``.
        bits: bits per integer, 2 to 8.

    Returns:
        uint8 tensor of shape ``(ceil(integers.numel() * bits / 8),)`` on the CPU.

    Raises:
        ValueError: for another dtype, bits outside 2 to 8, or integers outside the range.
    """
    _check_bits(bits)
    if integers.dtype != torch.int8:
        raise ValueError(
            f"Packing needs an int8 tensor; found {integers.dtype}. "
            f"Round and clamp to the range of {bits} bits, then convert to torch.int8."
        )
    if integers.numel() == 0:
        return torch.empty(0, dtype=torch.uint8)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    smallest, largest = (int(value) for value in integers.aminmax())
    if smallest < low or largest > high:
        raise ValueError(
            f"Integers of {bits} bits must lie in {low}..{high}; found {smallest}..{largest}. "
            "Clamp before packing, or pack with more bits."
        )
    flat = integers.detach().cpu().contiguous().view(torch.uint8).numpy().reshape(-1)
    lanes = np.zeros(_groups(flat.size) * _GROUP, np.uint8)
    np.bitwise_and(flat, (1 << bits) - 1, out=lanes[: flat.size])
    words = _join_lanes(lanes.view(_WORD), bits)
    stream = words.view(np.uint8).reshape(-1, _GROUP)[:, :bits].reshape(-1)
    return torch.from_numpy(stream[: packed_bytes(flat.size, bits)].copy())


def unpack(packed: Tensor, bits: int, shape: Sequence[int]) -> Tensor:
    """The inverse of :func:`pack`.

    Args:
        packed: uint8 tensor of shape ``(ceil(prod(shape) * bits / 8),)``.
        bits: bits per integer, 2 to 8.
        shape: shape of the integers.

    Returns:
        int8 tensor of that shape on the CPU.

    Raises:
        ValueError: for another dtype, bits outside 2 to 8, or a number of bytes that does not fit the shape.
    """
    _check_bits(bits)
    if packed.dtype != torch.uint8 or packed.dim() != 1:
        raise ValueError(
            f"Unpacking needs a one-dimensional uint8 tensor; found {packed.dtype} of shape {tuple(packed.shape)}. "
            "Hand over what pack returned."
        )
    count = math.prod(shape)
    expected = packed_bytes(count, bits)
    if packed.numel() != expected:
        raise ValueError(
            f"{count} integers of {bits} bits (shape {tuple(shape)}) take {expected} bytes; found {packed.numel()}. "
            "Use the shape and the bits that they were packed with."
        )
    groups = _groups(count)
    stream = np.zeros(groups * bits, np.uint8)
    stream[:expected] = packed.detach().cpu().numpy()
    words = np.zeros((groups, _GROUP), np.uint8)
    words[:, :bits] = stream.reshape(groups, bits)
    lanes = _split_lanes(words.view(_WORD).reshape(-1), bits).view(np.uint8)[:count]
    sign = np.uint8(1 << (bits - 1))
    integers = (lanes ^ sign) - sign  # sign extension: uint8 wraps around
    return torch.from_numpy(integers.view(np.int8)).reshape(tuple(shape))


def _join_lanes(words: np.ndarray, bits: int) -> np.ndarray:
    """Closes the gaps of words with eight 8-bit lanes of which ``bits`` are used: pairs, then fours, then all eight."""
    for lane in (8, 16, 32):
        mask = _even_lanes(lane, lane)
        words = (words & mask) | (((words >> np.uint64(lane)) & mask) << np.uint64(bits * lane // 8))
    return words


def _split_lanes(words: np.ndarray, bits: int) -> np.ndarray:
    """The inverse of ``_join_lanes``: halves, then quarters, then eighths."""
    for lane in (32, 16, 8):
        used = bits * lane // 8
        mask = _even_lanes(lane, used)
        words = (words & mask) | (((words >> np.uint64(used)) & mask) << np.uint64(lane))
    return words


def _even_lanes(lane: int, used: int) -> np.uint64:
    """A mask of the ``used`` lowest bits of every second lane of ``lane`` bits."""
    return np.uint64(sum(((1 << used) - 1) << start for start in range(0, 64, 2 * lane)))


def _groups(count: int) -> int:
    return -(-count // _GROUP)


def _check_bits(bits: int) -> None:
    if bits not in range(2, 9):
        raise ValueError(f"Packing needs 2 to 8 bits; found {bits!r}. Store other weights as float32.")
