"""Which weights of a matrix are kept, as a value: what an export stores."""

from dataclasses import dataclass

from torch import Tensor

from allinone.sparsity.patterns import Pattern


@dataclass(frozen=True, eq=False)
class Kept:
    """Which weights of a matrix are kept; all others are zero.

    Args:
        mask: bool ``(outputs, inputs)``, which weights.
        pattern: how the zeros lie.
        threshold: the survival level below which weights were dropped.
    """

    mask: Tensor
    pattern: Pattern
    threshold: int
