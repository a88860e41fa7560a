"""Criteria: how much each weight matters, as frozen values; the least of them are dropped first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Criterion(Protocol):
    """Scores weights; what it looks at is handed in. Only the order of a matrix's scores counts, not their size."""

    @property
    def needs_moments(self) -> bool:
        """Whether it looks at Adam's second moments, which there are after the first update."""
        ...

    @property
    def batches(self) -> int:
        """Batches of the corpus over which it averages gradients; 0 if it looks at none."""
        ...

    def scores(self, weight: Tensor, moment: Tensor | None = None, gradient: Tensor | None = None) -> Tensor:
        """A score for each weight, 0 or more.

        Args:
            weight: of any shape.
            moment: Adam's second moments (``exp_avg_sq``), shaped like the weight.
            gradient: the mean magnitude of the gradient, see :func:`mean_magnitudes`, shaped like the weight.

        Returns:
            float32, shaped like the weight; no gradient flows through it.
        """
        ...


@dataclass(frozen=True)
class Magnitude:
    """|w| (USM-Lite, section 2.3)."""

    @property
    def needs_moments(self) -> bool:
        """No."""
        return False

    @property
    def batches(self) -> int:
        """None."""
        return 0

    def scores(self, weight: Tensor, moment: Tensor | None = None, gradient: Tensor | None = None) -> Tensor:
        """The magnitudes."""
        return weight.detach().float().abs()


@dataclass(frozen=True)
class Adam:
    """|w| sqrt(v), v the second moment of Adam: the steadied gradient of Adam-pruning (Omni-sparsity, section 2.1).

    The moments need no correction of their bias: it is one factor for all weights.
    """

    @property
    def needs_moments(self) -> bool:
        """Yes."""
        return True

    @property
    def batches(self) -> int:
        """None."""
        return 0

    def scores(self, weight: Tensor, moment: Tensor | None = None, gradient: Tensor | None = None) -> Tensor:
        """Magnitudes times roots of moments.

        Raises:
            ValueError: without moments.
        """
        if moment is None:
            raise ValueError(
                "The criterion Adam requires Adam's second moments; found none, as before the first update. Choose a "
                "schedule that takes levels after some updates, or the criterion Magnitude."
            )
        assert moment.shape == weight.shape
        return moment.detach().float().sqrt().mul_(weight.detach().abs())


@dataclass(frozen=True)
class Taylor:
    """|w| |dl/dw|, about |l(w) - l(0)| (Omni-sparsity, Eq. 2; Molchanov et al. 2019), averaged over batches.

    Args:
        batches: of the corpus over which it is averaged: one alone is noisy.

    Raises:
        ValueError: unless it is a whole number of 1 or more.
    """

    batches: int = 16

    def __post_init__(self) -> None:
        if type(self.batches) is not int or self.batches < 1:
            raise ValueError(
                f"Taylor requires a whole number of batches, 1 or more; found {self.batches!r}. "
                "Give such a number, as 16."
            )

    @property
    def needs_moments(self) -> bool:
        """No."""
        return False

    def scores(self, weight: Tensor, moment: Tensor | None = None, gradient: Tensor | None = None) -> Tensor:
        """Magnitudes of weights times mean magnitudes of their gradients.

        Raises:
            ValueError: without gradients.
        """
        if gradient is None:
            raise ValueError(
                f"The criterion Taylor requires gradients of {self.batches} batches; found none. Hand over their "
                "mean_magnitudes, or choose the criterion Magnitude."
            )
        assert gradient.shape == weight.shape
        return weight.detach().float().abs().mul_(gradient.detach().abs())


def mean_magnitudes(gradients: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean over batches of |gradient|, weight by weight; between two batches a gradient's memory may be reused.

    Args:
        gradients: for each batch the gradient of each weight by its name; the weights stay the same meanwhile.

    Returns:
        For each name float32, shaped like the weight.

    Raises:
        ValueError: if there are no batches.
    """
    sums: dict[str, Tensor] = {}
    count = 0
    for count, batch in enumerate(gradients, 1):
        if count == 1:
            sums = {name: torch.zeros_like(gradient, dtype=torch.float32) for name, gradient in batch.items()}
        assert sums.keys() == batch.keys(), "the batches' gradients are of different weights"
        for name, gradient in batch.items():
            sums[name] += gradient.detach().abs()
    if not count:
        raise ValueError(
            "A mean of gradients requires one batch at least; found none. Look at the corpus, or choose the criterion "
            "Magnitude."
        )
    return {name: total.div_(count) for name, total in sums.items()}
