"""Symmetric uniform quantisation of weights: integers times a scale, with a straight-through gradient."""

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from allinone.quantization.granularity import in_blocks


def integer_range(bits: int) -> tuple[int, int]:
    """The smallest and the largest signed integer of that many bits."""
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


@dataclass(frozen=True)
class Quantised:
    """A weight as it is stored.

    Args:
        integers: int8 tensor shaped like the weight.
        scale: float32 tensor of as many dimensions; along each its size s divides the weight's size n, and a scale
            covers the next n / s entries. One for each channel: ``(outputs, 1)``; for each group of inputs:
            ``(outputs, groups)``.
        bits: bits per integer.
    """

    integers: Tensor
    scale: Tensor
    bits: int

    def dequantise(self) -> Tensor:
        """The float32 weight: integers times scale."""
        blocks, shape = in_blocks(self.integers, self.scale.shape)
        return (blocks.to(self.scale.dtype) * self.scale.reshape(shape)).reshape(self.integers.shape)

    def select(self, dim: int, entries: Tensor) -> "Quantised | Tensor":
        """With other entries along a dimension, by their numbers ``(entries,)``.

        Entries that share a scale with others have to stay with them; if they do not, no scale is theirs any more, and
        the weight is returned in floating point.
        """
        integers, scale = self.integers.index_select(dim, entries), self.scale
        if scale.shape[dim] > 1:
            each = self.integers.shape[dim] // scale.shape[dim]
            if not _are_whole_groups(entries, each):
                return self.dequantise().index_select(dim, entries)
            scale = scale.index_select(dim, entries[::each] // each)
        return Quantised(integers, scale, self.bits)


def _are_whole_groups(entries: Tensor, each: int) -> bool:
    """Whether entries, by their numbers, are groups of so many, in any order of groups."""
    first = entries[::each] // each * each
    return torch.equal(entries, (first[:, None] + torch.arange(each, device=entries.device)).flatten())


def quantise(weight: Tensor, scale: Tensor, bits: int) -> Quantised:
    """The integers nearest to ``weight / scale``, clamped to the range of ``bits``."""
    low, high = integer_range(bits)
    blocks, shape = in_blocks(weight, scale.shape)
    integers = (blocks / scale.reshape(shape)).round_().clamp_(low, high).to(torch.int8)
    return Quantised(integers.reshape(weight.shape), scale, bits)


def fake_quantise(weight: Tensor, scale: Tensor, bits: int) -> Tensor:
    """The weight that :func:`quantise` stores, in floating point and differentiable.

    Equal, bit for bit, to ``quantise(weight, scale, bits).dequantise()``. The gradient of rounding is straight-through
    (LSQ, Esser et al. 2020, Eq. 3 and 5): one inside the range, nothing for a clamped weight; the gradient of the scale
    is divided by sqrt(weights per scale * largest integer), LSQ section 2.2.
    """
    blocks, shape = in_blocks(weight, scale.shape)
    if blocks is weight:
        return _FakeQuantise.apply(weight, scale, *integer_range(bits))  # pyright: ignore[reportReturnType]
    quantised = _FakeQuantise.apply(blocks, scale.reshape(shape), *integer_range(bits))
    return quantised.reshape(weight.shape)  # pyright: ignore[reportOptionalMemberAccess]


_BEYOND = 1 + 1e-6  # a weight that lies on an end of the range, as the largest of all may, is inside


class _FakeQuantise(torch.autograd.Function):
    """Fused by hand: a third of the time of the same gradient written with detached roundings. Scales broadcast."""

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
        apart = 1 + max((axis for axis, size in enumerate(scale.shape) if size != 1), default=0)
        shape = *weight.shape[:apart], -1
        rows = torch.linalg.vecdot(gradient.reshape(shape), quantised.reshape(shape))
        rows = rows - torch.linalg.vecdot(to_weight.reshape(shape), weight.reshape(shape))
        to_scale = rows.view(*rows.shape, *[1] * (weight.dim() - apart)).sum_to_size(*scale.shape) / scale
        per_scale = weight.numel() / prod(scale.shape)
        return to_weight, to_scale / (per_scale * high) ** 0.5, None, None
