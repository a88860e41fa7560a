"""Nested integers: those of fewer bits are the most significant bits of those of eight."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from allinone.quantization.absmax import absmax_scale
from allinone.quantization.affine import Quantised, fake_quantise, integer_range, quantise, round_
from allinone.quantization.granularity import Granularity, PerChannel

NESTED_BITS = 8  # of the integers that all others are read from
_CANDIDATES = torch.linspace(1.5, 0.1, 60).tolist()  # above 1, as 2 bits reach half as far up as down
_SURELY = 0.999  # beyond rounding
_CACHED = 2**18  # weights at a time: as many as a processor keeps at hand


@dataclass(frozen=True)
class Nested:
    """One learned scale s for all bit-widths (the scale of LSQ, Esser et al. 2020), and integers that contain another.

    With 8 bits a weight w is ``q8 = clamp(round(w / s), -128, 127)`` times s. With b bits it is ::

        q = clamp(floor((q8 + 2^(7 - b)) / 2^(8 - b)), -2^(b - 1), 2^(b - 1) - 1)

    times ``s * 2^(8 - b)``: the nearest of fewer steps, halves up, so that the b + 1 most significant bits of q8 say it
    all. Zero stays zero. Gradients are those of LSQ (straight-through for the weight), for the one scale through the
    steps of each member: all precisions train it. It is kept as a logarithm.
    """

    granularity: Granularity = field(default_factory=PerChannel)
    nested: ClassVar[bool] = True

    def initial_log_scales(self, weight: Tensor, bits: Sequence[int]) -> Tensor:
        """The logarithm of the scale of the least squared error, added over all bit-widths.

        Returns:
            ``(1, *granularity.scale_shape(weight.shape))``.
        """
        with torch.no_grad():
            unclamped = absmax_scale(weight, NESTED_BITS, self.granularity)
            rows = weight.reshape(unclamped.numel(), -1)  # of the weights that share a scale
            some = max(1, _CACHED // rows.shape[1])
            pieces = zip(rows.split(some), unclamped.view(-1, 1).split(some), strict=True)
            best = torch.cat([_best_of_candidates(*piece, bits) for piece in pieces])
            return best.view(1, *unclamped.shape).log()

    def log_scale_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """That of the scales of a weight of that shape."""
        return self.granularity.scale_shape(shape)

    def fake_quantise(self, weight: Tensor, log_scale: Tensor | None, bits: int) -> Tensor:
        """The quantised weight, differentiable in weight and scale."""
        assert log_scale is not None
        finer = NESTED_BITS - bits
        return fake_quantise(weight, log_scale.exp() * 2.0**finer, bits, finer)

    def quantise(self, weight: Tensor, log_scale: Tensor | None, bits: int) -> Quantised:
        """The same weight as integers of that many bits and scales."""
        assert log_scale is not None
        finer = NESTED_BITS - bits
        return quantise(weight, log_scale.exp() * 2.0**finer, bits, finer)


def coarser(stored: Quantised, bits: int) -> Quantised:
    """The b-bit integers that integers of 8 bits, or their b + 1 most significant bits, contain; and their scales.

    Args:
        stored: integers of more bits, and the scales of these.
        bits: how many bits are wanted, not more than there are.
    """
    fewer = stored.bits - bits
    assert fewer >= 0
    if not fewer:
        return stored
    low, high = integer_range(bits)
    halves_up = (stored.integers.short() + 2 ** (fewer - 1)) >> fewer  # floors
    return Quantised(halves_up.clamp_(low, high).to(torch.int8), stored.scale * 2.0**fewer, bits)


def _best_of_candidates(rows: Tensor, unclamped: Tensor, bits: Sequence[int]) -> Tensor:
    """From the largest down, until the error of a row's largest weight alone is more than the least of all."""
    low, high = integer_range(NESTED_BITS)
    best, least, error = unclamped, torch.full_like(unclamped, torch.inf), torch.empty_like(rows)
    for fraction in _CANDIDATES:
        clamped = max(0.0, high + fraction * low) * unclamped  # of the largest weight, at the end that reaches further
        if (len(bits) * _SURELY * clamped.square() > least).all():
            break
        squares = torch.zeros_like(least)
        for width in bits:
            finer = NESTED_BITS - width
            scale = unclamped * (fraction * 2.0**finer)
            torch.div(rows, scale, out=error)
            round_(error, finer).clamp_(*integer_range(width)).mul_(scale).sub_(rows)
            squares += torch.linalg.vecdot(error, error)[:, None]
        best = torch.where(squares <= least, unclamped * fraction, best)
        least = torch.minimum(squares, least)
    return best
