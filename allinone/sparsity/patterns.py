"""Patterns: which weights are dropped together, as frozen values; and how many of them a sparsity keeps."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Protocol

from torch import Tensor

LEVELS = 200  # steps of half a per cent


class Pattern(Protocol):
    """How the zeros of a matrix ``(outputs, inputs)`` lie."""

    @property
    def group(self) -> int | None:
        """The M of N:M: weights of which each group keeps equally many; None for patterns without such groups."""
        ...

    @property
    def unit(self) -> tuple[int, int]:
        """Outputs and inputs that its blocks, or groups, take: they divide those of every matrix, at every width."""
        ...

    def pooled(self, scores: Tensor) -> Tensor:
        """A score for each block that is kept or dropped as one: of ``(outputs, inputs)``, a smaller matrix."""
        ...


@dataclass(frozen=True)
class Unstructured:
    """Every weight by itself."""

    @property
    def group(self) -> None:
        """None: there are no groups."""

    @property
    def unit(self) -> tuple[int, int]:
        """A weight."""
        return 1, 1

    def pooled(self, scores: Tensor) -> Tensor:
        """The scores themselves."""
        return scores


@dataclass(frozen=True)
class Blocks:
    """Blocks of neighbouring weights; 8 outputs of one input are those of Omni-sparsity (section 2.1).

    A block's score is the sum of its weights' scores.

    Args:
        rows: outputs of a block.
        columns: inputs of a block.

    Raises:
        ValueError: unless both are whole numbers of 1 or more.
    """

    rows: int = 8
    columns: int = 1

    def __post_init__(self) -> None:
        if any(type(size) is not int or size < 1 for size in (self.rows, self.columns)):
            raise ValueError(
                f"Blocks must have whole numbers of rows and columns, 1 or more; found {self.rows!r} and "
                f"{self.columns!r}. Give such numbers, as 8 and 1."
            )

    @property
    def group(self) -> None:
        """None: blocks are ranked among all of a matrix."""

    @property
    def unit(self) -> tuple[int, int]:
        """A block."""
        return self.rows, self.columns

    def pooled(self, scores: Tensor) -> Tensor:
        """Sums over blocks, ``(outputs / rows, inputs / columns)``."""
        return scores.unflatten(1, (-1, self.columns)).sum(2).unflatten(0, (-1, self.rows)).sum(1)


@dataclass(frozen=True)
class NOfM:
    """N:M: at most N of every M consecutive inputs of an output are not zero (USM-Lite, section 2.3).

    Args:
        size: M.

    Raises:
        ValueError: unless it is a whole number from 2 to 16.
    """

    size: int = 4

    def __post_init__(self) -> None:
        if type(self.size) is not int or not 2 <= self.size <= 16:
            raise ValueError(
                f"N:M requires groups of a whole number of 2 to 16 weights (M); found {self.size!r}. Give such a "
                "number, as 4."
            )

    @property
    def group(self) -> int:
        """M."""
        return self.size

    @property
    def unit(self) -> tuple[int, int]:
        """A group: one output, M inputs."""
        return 1, self.size

    def pooled(self, scores: Tensor) -> Tensor:
        """The scores themselves: weights of a group are ranked one by one."""
        return scores


def misfit(pattern: Pattern, shape: Sequence[int]) -> str | None:
    """What is wrong with a pattern on a matrix of a shape ``(outputs, inputs)``, in words; None if it fits."""
    rows, columns = pattern.unit
    outputs, inputs = shape
    if outputs % rows or inputs % columns:
        kind = f"groups of {columns} inputs" if pattern.group else f"{rows}x{columns} blocks"
        return f"{kind} do not divide {outputs} outputs and {inputs} inputs"
    return None


def kept_count(pattern: Pattern, bands: Sequence[int], threshold: int) -> int:
    """How many weights of a matrix are kept, at most as many as a sparsity leaves.

    Args:
        pattern: how zeros lie.
        bands: weights of each width band: of what the narrowest member has, of what the next one adds, ...
        threshold: the survival level below which weights are dropped: sparsity * 200, or M - N of N:M.
    """
    if pattern.group is not None:
        return sum(band * (pattern.group - threshold) // pattern.group for band in bands)
    block = prod(pattern.unit)
    return sum(block * (band // block - -(-threshold * (band // block) // LEVELS)) for band in bands)
