"""The zeros of a stored matrix: what the table of weights says of them, and which bytes say where they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor

from allinone.sparsity import LEVELS, Blocks, Kept, NOfM, Pattern, index_bytes, misfit, pack_index, unpack_index

_AGAIN = "Export the member again."


def without_zeros(name: str, values: Tensor, kept: Kept) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """The kept values of a matrix, row by row; the bytes of the index of the rest; and what the table says of them."""
    assert values.shape == kept.mask.shape, f"{name} has another shape than its mask"
    assert not values[~kept.mask].any(), f"{name} has dropped weights that are not zero"
    kind, index = pack_index(kept.mask, kept.pattern, kept.threshold)
    values = values[kept.mask]
    pattern = list(kept.pattern.unit) if kept.pattern.group is None else kept.pattern.group
    entry = {"pattern": pattern, "threshold": kept.threshold, "kept": values.numel(), "index": kind}
    return values, index, entry


@dataclass(frozen=True)
class Zeros:
    """What an entry of the table says of the zeros of a matrix.

    Args:
        name: of the matrix.
        shape: ``(outputs, inputs)``.
        pattern: how they lie; blocks of one weight where each lies by itself.
        threshold: the survival level below which weights were dropped.
        kept: how many weights are stored.
        kind: how the index is written.

    Raises:
        ValueError: if these do not fit each other.
    """

    name: str
    shape: Sequence[int]
    pattern: Pattern
    threshold: int
    kept: int
    kind: str

    def __post_init__(self) -> None:
        wrong = misfit(self.pattern, self.shape) if len(self.shape) == 2 else f"it has the shape {list(self.shape)}"
        if wrong is not None:
            raise ValueError(f"The zeros of {self.name} must lie in blocks of a matrix; found that {wrong}. {_AGAIN}")
        weights, group = prod(self.shape), self.pattern.group
        if type(self.threshold) is not int or not 0 <= self.threshold < (group or LEVELS):
            raise ValueError(
                f"The threshold of {self.name} must be a whole number from 0 to {(group or LEVELS) - 1}; found "
                f"{self.threshold!r}. {_AGAIN}"
            )
        fits = type(self.kept) is int and 0 <= self.kept <= weights and self.kept % self._block == 0
        if not fits or (group is not None and self.kept * group != weights * (group - self.threshold)):
            raise ValueError(
                f"{self.name} must keep whole blocks, or N of each M, of {weights} weights; found {self.kept!r} kept. "
                f"{_AGAIN}"
            )

    @classmethod
    def read(cls, name: str, entry: Mapping[str, Any], shape: Sequence[int]) -> "Zeros":
        """From an entry of the table."""
        fields: Any = (entry.get(field) for field in ("threshold", "kept", "index"))
        return cls(name, shape, _pattern(name, entry.get("pattern")), *fields)

    @property
    def bytes(self) -> int:
        """Of the index."""
        return index_bytes(self.pattern, self.shape, self.kept, self.threshold)

    def fill(self, values: Tensor, index: Tensor) -> Tensor:
        """The matrix, with its zeros: the inverse of :func:`without_zeros`."""
        kept_blocks = self.kept // self._block
        mask = unpack_index(index, self.kind, self.pattern, self.shape, self.threshold, kept_blocks)
        matrix = values.new_zeros(mask.shape)
        matrix[mask] = values
        return matrix

    @property
    def _block(self) -> int:
        """Weights that are kept as one."""
        return prod(self.pattern.unit) if self.pattern.group is None else 1


def _pattern(name: str, field: Any) -> Pattern:
    if type(field) is int:
        return NOfM(field)
    if isinstance(field, list) and len(field) == 2:
        return Blocks(*field)
    raise ValueError(
        f"The pattern of {name} must be the rows and columns of blocks, or the M of N:M; found {field!r}. {_AGAIN}"
    )
