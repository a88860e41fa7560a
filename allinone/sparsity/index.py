"""The index of a sparse matrix: which of its weights a file holds, in the fewest bits; known without any weights."""

from collections.abc import Sequence
from math import comb, prod
from typing import Literal

from allinone.sparsity.patterns import Pattern

Kind = Literal["mask", "index", "code"]


def index_encoding(pattern: Pattern, blocks: int, kept_blocks: int, threshold: int) -> tuple[Kind, int]:
    """How an index is written, and in how many bytes: whatever is shortest, and the mask if it is as short.

    Args:
        pattern: how zeros lie.
        blocks: of the matrix: weights without a structure, blocks, or groups of N:M.
        kept_blocks: how many of them are kept; of N:M, whose groups all keep equally many weights, it is not asked for.
        threshold: the survival level below which weights are dropped: M - N of N:M; else it is not asked for.

    Returns:
        One of three, and its bytes:

        * ``mask``: one bit for each block, of N:M for each weight;
        * ``index``: the number of each kept block, in ceil(log2 blocks) bits;
        * ``code``: of N:M, which N of M weights a group keeps, in ceil(log2 C(M, N)) bits.
    """
    if pattern.group is not None:
        code = blocks * bits_for(comb(pattern.group, threshold))
        choices: tuple[tuple[int, Kind], ...] = (blocks * pattern.group, "mask"), (code, "code")
    else:
        choices = (blocks, "mask"), (kept_blocks * bits_for(blocks), "index")
    bits, kind = min(choices, key=lambda choice: choice[0])  # the first of equals
    return kind, -(-bits // 8)


def index_bytes(pattern: Pattern, shape: Sequence[int], kept: int, threshold: int) -> int:
    """Bytes of the index of a matrix ``(outputs, inputs)`` of which so many weights are kept."""
    size = prod(pattern.unit)
    return index_encoding(pattern, prod(shape) // size, kept // size, threshold)[1]


def bits_for(choices: int) -> int:
    """Bits that tell one of so many choices, ceil(log2 choices), exactly."""
    return (choices - 1).bit_length()
