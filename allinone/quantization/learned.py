"""LSQ: quantisation with a learned scale for each bit-width."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import ClassVar

import torch
from torch import Tensor

from allinone.quantization.absmax import absmax_scale
from allinone.quantization.affine import Quantised, fake_quantise, integer_range, quantise
from allinone.quantization.granularity import Granularity, PerChannel

_CANDIDATES = 50
_SURELY = 0.999  # beyond rounding
_CACHED = 2**18  # weights at a time: as many as a processor keeps at hand


@dataclass(frozen=True)
class Lsq:
    """Learned step size quantisation (Esser et al. 2020), as All-in-one uses it (section 2.2).

    The scales are kept as logarithms: a step of AdamW can then not turn one negative.
    """

    granularity: Granularity = field(default_factory=PerChannel)
    nested: ClassVar[bool] = False

    def initial_log_scales(self, weight: Tensor, bits: Sequence[int]) -> Tensor:
        """The logarithms of the scales that represent ``weight`` with the least squared error.

        Returns:
            ``(bit-widths, *granularity.scale_shape(weight.shape))``, a row for each of ``bits``.
        """
        with torch.no_grad():
            return torch.stack([least_squares_scale(weight, width, self.granularity).log() for width in bits])

    def log_scale_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """That of the scales of a weight of that shape."""
        return self.granularity.scale_shape(shape)

    def fake_quantise(self, weight: Tensor, log_scale: Tensor | None, bits: int) -> Tensor:
        """The quantised weight, differentiable in weight and scale."""
        assert log_scale is not None
        return fake_quantise(weight, log_scale.exp(), bits)

    def quantise(self, weight: Tensor, log_scale: Tensor | None, bits: int) -> Quantised:
        """The same weight as integers and scales."""
        assert log_scale is not None
        return quantise(weight, log_scale.exp(), bits)


def least_squares_scale(
    weight: Tensor, bits: int, granularity: Granularity, importance: Tensor | None = None
) -> Tensor:
    """Tries fractions of the scale that clamps nothing, and keeps for each scale the one of the least squared error.

    Args:
        weight: ``(outputs, ...)``.
        bits: 2 to 8.
        granularity: how many scales there are.
        importance: of each input of a matrix ``(outputs, inputs)``, what squared errors are multiplied by; None: one.

    Returns:
        Shaped as the granularity says.
    """
    unclamped = absmax_scale(weight, bits, granularity)
    rows = weight.reshape(unclamped.numel(), -1)  # of the weights that share a scale
    some = max(1, _CACHED // rows.shape[1])
    factors: Iterable[Tensor | None] = repeat(None)
    if importance is not None:
        factors = importance.to(weight).expand(weight.shape).reshape(rows.shape).split(some)
    pieces = zip(rows.split(some), unclamped.view(-1, 1).split(some), factors, strict=False)  # None without an end
    return torch.cat([_best_of_candidates(*piece, bits) for piece in pieces]).view_as(unclamped)


def _best_of_candidates(rows: Tensor, unclamped: Tensor, factors: Tensor | None, bits: int) -> Tensor:
    """From the largest fraction down, until the error of a row's largest weight alone is more than the least of all.

    Errors that are weighed have no such end.
    """
    low, high = integer_range(bits)
    best, least, error = unclamped, torch.full_like(unclamped, torch.inf), torch.empty_like(rows)
    for fraction in reversed(torch.linspace(0.1, 1.0, _CANDIDATES).tolist()):
        clamped = max(0.0, high + fraction * low) * unclamped  # of the largest weight, at the end that reaches further
        if factors is None and (_SURELY * clamped.square() > least).all():
            break
        scale = unclamped * fraction
        torch.div(rows, scale, out=error).round_().clamp_(low, high).mul_(scale).sub_(rows)
        squares = torch.linalg.vecdot(error, error if factors is None else error * factors)[:, None]
        best = torch.where(squares <= least, scale, best)
        least = torch.minimum(squares, least)
    return best
