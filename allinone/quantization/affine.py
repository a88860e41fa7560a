"""Symmetric uniform quantisation of weights: integers times a scale, with a straight-through gradient."""

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor


def integer_range(bits: int) -> tuple[int, int]:
    """The smallest and the largest signed integer of that many bits."""
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


@dataclass(frozen=True)
class Quantised:
    """A weight as it is stored.

    Args:
        integers: int8 tensor shaped like the weight.
        scale: float32 tensor that broadcasts to it.
        bits: bits per integer.
    """

    integers: Tensor
    scale: Tensor
    bits: int

    def dequantise(self) -> Tensor:
        """The float32 weight: integers times scale."""
        return self.integers.to(self.scale.dtype) * self.scale

    def select(self, dim: int, entries: Tensor) -> "Quantised":
        """With other entries along a dimension, by their numbers ``(entries,)``."""
        scale = self.scale if self.scale.shape[dim] == 1 else self.scale.index_select(dim, entries)
        return Quantised(self.integers.index_select(dim, entries), scale, self.bits)


def quantise(weight: Tensor, scale: Tensor, bits: int) -> Quantised:
    """The integers nearest to ``weight / scale``, clamped to the range of ``bits``."""
    low, high = integer_range(bits)
    return Quantised((weight / scale).round_().clamp_(low, high).to(torch.int8), scale, bits)


def fake_quantise(weight: Tensor, scale: Tensor, bits: int) -> Tensor:
    """The weight that :func:`quantise` stores, in floating point and differentiable.

    Equal, bit for bit, to ``quantise(weight, scale, bits).dequantise()``. The gradient of rounding is straight-through
    (LSQ, Esser et al. 2020, Eq. 3 and 5): one inside the range, nothing for a clamped weight; the gradient of the scale
    is divided by sqrt(weights per scale * largest integer), LSQ section 2.2.
    """
    return _FakeQuantise.apply(weight, scale, *integer_range(bits))  # pyright: ignore[reportReturnType]


_BEYOND = 1 + 1e-6  # a weight that lies on an end of the range, as the largest of all may, is inside


class _FakeQuantise(torch.autograd.Function):
    """Fused by hand: a third of the time of the same gradient written with detached roundings."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scale: Tensor, low: int, high: int) -> Tensor:
        quantised = (weight / scale).round_().clamp_(low, high) * scale  # torch.compile takes `.mul_` for a detachment
        ctx.save_for_backward(weight, scale, quantised)
        ctx.range = low, high
        return quantised

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        (gradient,) = gradients
        weight, scale, quantised = ctx.saved_tensors
        low, high = ctx.range
        ends = low * _BEYOND, high * _BEYOND
        to_weight = torch.ops.aten.hardtanh_backward(gradient, weight / scale, *ends)  # zero at the ends, too
        if not ctx.needs_input_grad[1]:
            return to_weight, None, None, None
        # d quantised / d scale = integer - (weight / scale if inside); both times scale, summed row by row
        rows = torch.linalg.vecdot(gradient.flatten(1), quantised.flatten(1))
        rows = rows - torch.linalg.vecdot(to_weight.flatten(1), weight.flatten(1))
        to_scale = rows.view(-1, *[1] * (weight.dim() - 1)).sum_to_size(*scale.shape) / scale
        per_scale = weight.numel() / prod(scale.shape)
        return to_weight, to_scale / (per_scale * high) ** 0.5, None, None
