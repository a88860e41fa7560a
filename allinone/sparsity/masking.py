"""Masked weights: those below a threshold of survival are zero, and learn nothing unless they are told to."""

from dataclasses import dataclass
from math import inf
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class StraightThrough:
    """Dropped weights learn, too, and decay: SR-STE (Zhou et al. 2021).

    They get the gradient of the zero in their place, plus ``decay`` times the weight. Each member that drops a weight
    adds this once; it is no part of the loss: a factor of the loss, as for float16, does not reach it.

    Args:
        decay: of dropped weights, so that they do not come and go; 0 passes the gradient on as it is.

    Raises:
        ValueError: unless it is a finite number of 0 or more.
    """

    decay: float = 2e-4

    def __post_init__(self) -> None:
        if type(self.decay) not in (int, float) or not 0 <= self.decay < inf:
            raise ValueError(
                f"The decay of dropped weights must be a finite number, 0 or more; found {self.decay!r}. "
                "Give such a number, as 2e-4."
            )


def masked(
    weight: Tensor, levels: Tensor, threshold: Tensor | int, straight_through: StraightThrough | None = None
) -> Tensor:
    """The weight with zeros, never -0.0, in place of what a threshold drops; all else is equal, bit for bit.

    Args:
        weight: of any floating type and shape, also a view.
        levels: uint8, of the weight's shape; they stay as they are until the backward pass.
        threshold: weights of lower levels are dropped: an integer, or an integer tensor of no dimension.
        straight_through: how dropped weights learn; None if they do not.

    Returns:
        A new tensor; the only memory that is held for the backward pass is what there is already.
    """
    assert levels.dtype == torch.uint8
    assert levels.shape == weight.shape
    if straight_through is None:
        return _Masked.apply(weight, levels, threshold)  # pyright: ignore[reportReturnType]
    return _StraightThrough.apply(weight, levels, threshold, straight_through.decay)  # pyright: ignore[reportReturnType]


class _Masked(torch.autograd.Function):
    """By hand, as nothing has to be remembered but the levels: a mask is made twice rather than kept."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, levels: Tensor, threshold: Tensor | int) -> Tensor:
        ctx.save_for_backward(levels)
        ctx.threshold = threshold
        return _times(weight, levels.clone().ge_(threshold))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (levels,) = ctx.saved_tensors
        return _Masked.apply(gradients[0], levels, ctx.threshold), None, None  # pyright: ignore[reportReturnType]


class _StraightThrough(torch.autograd.Function):
    """The same zeros, with another gradient."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, levels: Tensor, threshold: Tensor | int, decay: float) -> Tensor:
        ctx.save_for_backward(weight, levels)
        ctx.threshold, ctx.decay = threshold, decay
        return _times(weight, levels.clone().ge_(threshold))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        weight, levels = ctx.saved_tensors
        dropped = _times(weight, levels.clone().lt_(ctx.threshold))
        return torch.add(gradients[0], dropped, alpha=ctx.decay), None, None, None


_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def _times(values: Tensor, mask: Tensor) -> Tensor:
    """Values where a mask (uint8, as it compares faster than into booleans) is one, and 0.0 where it is zero.

    A product of bit patterns: a third of the time of ``torch.where``, and unlike a product of floating-point numbers
    it makes no -0.0, and no NaN out of infinity.
    """
    integers = _INTEGERS[values.element_size()]
    return (values.view(integers) * mask).view(values.dtype)
