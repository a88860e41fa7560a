"""The index of a sparse matrix as bytes, and back: which weights a file holds.

Numbers follow each other without gaps, little-endian, as in :mod:`allinone.quantization.packing`: bit ``k`` of the
stream is bit ``k % 8`` of byte ``k // 8``, and only the last byte can hold unused bits. Which numbers they are follows
from :func:`allinone.sparsity.index.index_encoding`; blocks and groups are counted row by row:

* ``mask``: for each block 1 if it is kept;
* ``index``: the number of each kept block, ascending;
* ``code``, which N:M always has: for each group the number of its choice among all choices of N of M, in ascending
  order of the sum of ``2 ** place`` over the kept weights (the combinatorial number system).
"""

from collections.abc import Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor

from allinone.sparsity.index import Kind, bits_for, index_encoding
from allinone.sparsity.patterns import Pattern, misfit

_WIDEST = 32  # bits of a number
_DAMAGED = "The file is damaged, or of another matrix: copy it, or export it, again."


def pack_bits(numbers: Tensor, bits: int) -> Tensor:
    """Packs numbers without gaps.

    Args:
        numbers: int64 tensor of any shape, each in ``0 .. 2 ** bits - 1``.
        bits: bits per number, 0 to 32; none where there is one number only.

    Returns:
        uint8 tensor of shape ``(ceil(numbers.numel() * bits / 8),)`` on the CPU.

    Raises:
        ValueError: for another dtype, bits outside 0 to 32, or numbers outside the range.
    """
    _check_bits(bits)
    if numbers.dtype != torch.int64:
        raise ValueError(f"Packing needs an int64 tensor; found {numbers.dtype}. Convert to torch.int64.")
    if numbers.numel() and (numbers.min() < 0 or numbers.max() >= 2**bits):
        raise ValueError(
            f"Numbers of {bits} bits must lie in 0..{2**bits - 1}; found {numbers.min()}..{numbers.max()}. "
            "Pack with more bits."
        )
    each = numbers.detach().cpu().numpy().reshape(-1, 1).astype("<u4").view(np.uint8)
    stream = np.unpackbits(each, axis=1, count=bits, bitorder="little")
    return torch.from_numpy(np.packbits(stream, bitorder="little"))


def unpack_bits(packed: Tensor, bits: int, count: int) -> Tensor:
    """The inverse of :func:`pack_bits`.

    Args:
        packed: uint8 tensor of shape ``(ceil(count * bits / 8),)``.
        bits: bits per number, 0 to 32.
        count: how many numbers.

    Returns:
        int64 tensor ``(count,)`` on the CPU.

    Raises:
        ValueError: for another dtype, bits outside 0 to 32, or another number of bytes.
    """
    _check_bits(bits)
    _check_bytes(packed, -(-count * bits // 8), f"{count} numbers of {bits} bits")
    stream = np.unpackbits(packed.detach().cpu().numpy(), count=count * bits, bitorder="little")
    each = np.zeros((count, _WIDEST), np.uint8)
    each[:, :bits] = stream.reshape(count, bits)
    return torch.from_numpy(np.packbits(each, axis=1, bitorder="little").view("<u4").reshape(-1).astype(np.int64))


def pack_index(kept: Tensor, pattern: Pattern, threshold: int) -> tuple[Kind, Tensor]:
    """Packs which weights of a matrix are kept.

    Args:
        kept: bool ``(outputs, inputs)``; whole blocks, or N of each group, are kept.
        pattern: how zeros lie.
        threshold: the survival level below which weights are dropped.

    Returns:
        How it is written, and the uint8 bytes ``(bytes,)`` on the CPU.
    """
    assert kept.dtype == torch.bool
    assert misfit(pattern, kept.shape) is None
    kept = kept.cpu()
    if pattern.group is not None:
        choices = _choices(pattern.group, threshold)
        groups = kept.reshape(-1, pattern.group).long() @ _places(pattern.group)
        numbers = torch.searchsorted(choices, groups)
        assert torch.equal(choices[numbers.clamp_max(len(choices) - 1)], groups), "a mask must keep N of each M weights"
        return "code", pack_bits(numbers, bits_for(len(choices)))
    blocks = kept[:: pattern.unit[0], :: pattern.unit[1]]
    assert torch.equal(_spread(blocks, pattern), kept), "a mask must keep or drop whole blocks"
    kind, _ = _encoding(pattern, kept.shape, int(blocks.sum()), threshold)
    if kind == "mask":
        return kind, pack_bits(blocks.flatten().long(), 1)
    return kind, pack_bits(blocks.flatten().nonzero().flatten(), bits_for(blocks.numel()))


def unpack_index(
    packed: Tensor, kind: str, pattern: Pattern, shape: Sequence[int], threshold: int, kept_blocks: int
) -> Tensor:
    """The inverse of :func:`pack_index`.

    Args:
        packed: uint8 ``(bytes,)``.
        kind: how it is written.
        pattern: how zeros lie; it fits the shape.
        shape: ``(outputs, inputs)``.
        threshold: the survival level below which weights are dropped.
        kept_blocks: how many blocks are kept; of N:M it is not asked for.

    Returns:
        bool ``(outputs, inputs)`` on the CPU.

    Raises:
        ValueError: if the bytes are no index of so many blocks of such a matrix.
    """
    outputs, inputs = shape
    required, count = _encoding(pattern, shape, kept_blocks, threshold)
    if kind != required:
        raise ValueError(f"The index of this matrix must be written as {required!r}; found {kind!r}. {_DAMAGED}")
    _check_bytes(packed, count, "The index of this matrix")
    if pattern.group is not None:
        choices = _choices(pattern.group, threshold)
        numbers = unpack_bits(packed, bits_for(len(choices)), outputs * inputs // pattern.group)
        _check_below(len(choices), numbers)
        return (choices[numbers][:, None] & _places(pattern.group)).bool().view(outputs, inputs)
    blocks = torch.zeros(outputs // pattern.unit[0], inputs // pattern.unit[1], dtype=torch.bool)
    if kind == "mask":
        blocks = unpack_bits(packed, 1, blocks.numel()).bool().view_as(blocks)
        if (found := int(blocks.sum())) != kept_blocks:
            raise ValueError(f"The index of this matrix must keep {kept_blocks} blocks; found {found}. {_DAMAGED}")
    else:
        numbers = unpack_bits(packed, bits_for(blocks.numel()), kept_blocks)
        _check_below(blocks.numel(), numbers)
        if (numbers.diff() <= 0).any():
            raise ValueError(f"The numbers of kept blocks must ascend; found some that do not. {_DAMAGED}")
        blocks.view(-1)[numbers] = True
    return _spread(blocks, pattern)


def _encoding(pattern: Pattern, shape: Sequence[int], kept_blocks: int, threshold: int) -> tuple[Kind, int]:
    return index_encoding(pattern, prod(shape) // prod(pattern.unit), kept_blocks, threshold)


def _spread(blocks: Tensor, pattern: Pattern) -> Tensor:
    """The weights of blocks."""
    rows, columns = pattern.unit
    return blocks.repeat_interleave(rows, 0).repeat_interleave(columns, 1)


def _choices(size: int, dropped: int) -> Tensor:
    """All numbers of ``size`` bits of which ``dropped`` are zero, ascending."""
    numbers = np.arange(2**size, dtype=np.int64)
    return torch.from_numpy(numbers[np.bitwise_count(numbers) == size - dropped])


def _places(size: int) -> Tensor:
    return 2 ** torch.arange(size)


def _check_below(end: int, numbers: Tensor) -> None:
    if numbers.numel() and numbers.max() >= end:
        raise ValueError(f"The numbers of an index must be less than {end}; found {numbers.max()}. {_DAMAGED}")


def _check_bytes(packed: Tensor, required: int, what: str) -> None:
    if packed.dtype != torch.uint8 or packed.dim() != 1 or packed.numel() != required:
        raise ValueError(
            f"{what} must be uint8 of {required} bytes; found {packed.dtype} of shape {tuple(packed.shape)}. {_DAMAGED}"
        )


def _check_bits(bits: int) -> None:
    if bits not in range(_WIDEST + 1):
        raise ValueError(f"Packing needs 0 to {_WIDEST} bits; found {bits!r}. Split the numbers.")
