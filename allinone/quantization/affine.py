"""Symmetric uniform quantisation of weights: integers times a scale, with a straight-through gradient."""

from collections.abc import Iterator
from dataclasses import dataclass
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


def as_float(weight: Tensor | Quantised) -> Tensor:
    """The weight that a network computes with."""
    return weight.dequantise() if isinstance(weight, Quantised) else weight


def quantise(weight: Tensor, scale: Tensor, bits: int, finer: int = 0) -> Quantised:
    """The integers nearest to ``weight / scale``, clamped to the range of ``bits``; ``finer`` as in :func:`round_`."""
    low, high = integer_range(bits)
    blocks, shape = in_blocks(weight, scale.shape)
    integers = round_(blocks / scale.reshape(shape), finer).clamp_(low, high).to(torch.int8)
    return Quantised(integers.reshape(weight.shape), scale, bits)


def round_(ratio: Tensor, finer: int = 0) -> Tensor:
    """Rounds weights, in units of their scale, to whole numbers, in place.

    Args:
        ratio: of any shape.
        finer: 0: each to the nearest, halves to the even one. Else each to the nearest multiple of 2^-finer first, as
            integers of so many bits more have them, and these to the nearest whole number, halves up.
    """
    if not finer:
        return ratio.round_()
    return ratio.mul_(2.0**finer).round_().mul_(2.0**-finer).add_(0.5).floor_()  # powers of two: nothing else rounds


def fake_quantise(weight: Tensor, scale: Tensor, bits: int, finer: int = 0, shared: int | None = None) -> Tensor:
    """The weight that :func:`quantise` stores, in floating point and differentiable.

    Equal, bit for bit, to ``quantise(weight, scale, bits, finer).dequantise()``. The gradient of rounding is
    straight-through (LSQ, Esser et al. 2020, Eq. 3 and 5): one inside the range, nothing for a clamped weight; the
    gradient of the scale is divided by sqrt(weights per scale * largest integer), LSQ section 2.2; ``shared`` stands
    for another number than that of the weights per scale.
    """
    blocks, shape = in_blocks(weight, scale.shape)
    shared = weight.numel() // max(1, scale.numel()) if shared is None else shared
    if blocks is weight:
        quantised = _FakeQuantise.apply(weight, scale, *integer_range(bits), finer, shared)
        return quantised  # pyright: ignore[reportReturnType]
    quantised = _FakeQuantise.apply(blocks, scale.reshape(shape), *integer_range(bits), finer, shared)
    return quantised.reshape(weight.shape)  # pyright: ignore[reportOptionalMemberAccess]


_BEYOND = 1 + 1e-6  # a weight that lies on an end of the range, as the largest of all may, is inside


_CACHED = 2**17  # weights at a time: as many as a processor keeps at hand with what is computed of them


class _FakeQuantise(torch.autograd.Function):
    """Written by hand, some rows after another: half the time of whole matrices, which memory bounds.

    Scales broadcast.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scale: Tensor, low: int, high: int, finer: int, shared: int) -> Tensor:
        ctx.save_for_backward(weight, scale)
        ctx.range, ctx.finer, ctx.shared = (low, high), finer, shared
        if torch.compiler.is_compiling():  # which joins all this by itself
            return round_(weight / scale, finer).clamp_(low, high) * scale
        quantised = torch.empty_like(weight)
        for rows, scales, out in _pieces(weight, scale, quantised):
            torch.mul(round_(rows / scales, finer).clamp_(low, high), scales, out=out)
        return quantised

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None, None, None, None]:
        (gradient,) = gradients
        weight, scale = ctx.saved_tensors
        low, high = ctx.range
        learned = ctx.needs_input_grad[1]
        to_weight, to_scale = torch.empty_like(gradient), torch.empty_like(scale)
        for rows, scales, above, out, out_scale in _pieces(weight, scale, gradient, to_weight, to_scale):
            ratio = rows / scales
            # zero at the ends, too
            out.copy_(torch.ops.aten.hardtanh_backward(above, ratio, low * _BEYOND, high * _BEYOND))
            if learned:  # d quantised / d scale = integer - (ratio if inside)
                slope = round_(ratio.clone(), ctx.finer).clamp_(low, high).mul_(above).sub_(ratio.mul_(out))
                out_scale.copy_(slope.sum_to_size(*scales.shape))
        return to_weight, to_scale / (ctx.shared * high) ** 0.5 if learned else None, None, None, None, None


def _pieces(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The same rows of a weight, its scales and more: all of them, if one scale is for several rows."""
    weight, scale = tensors[:2]
    rows = len(weight)
    if len(scale) == rows and not torch.compiler.is_compiling():
        rows = max(1, _CACHED * rows // max(1, weight.numel()))
    return zip(*(tensor.split(rows) for tensor in tensors), strict=True)
