"""LSQ: quantisation with a learned scale for each bit-width."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from allinone.quantization.absmax import absmax_scale
from allinone.quantization.affine import Quantised, fake_quantise, quantise
from allinone.quantization.granularity import Granularity, PerChannel, reduce_like

_CANDIDATES = 50


@dataclass(frozen=True)
class Lsq:
    """Learned step size quantisation (Esser et al. 2020), as All-in-one uses it (section 2.2).

    The scales are kept as logarithms: a step of AdamW can then not turn one negative.
    """

    granularity: Granularity = field(default_factory=PerChannel)

    def initial_log_scales(self, weight: Tensor, bits: Sequence[int]) -> Tensor:
        """The logarithms of the scales that represent ``weight`` with the least squared error.

        Returns:
            ``(bit-widths, *granularity.scale_shape(weight.shape))``, a row for each of ``bits``.
        """
        with torch.no_grad():
            return torch.stack([_least_squares_scale(weight, width, self.granularity).log() for width in bits])

    def fake_quantise(self, weight: Tensor, log_scale: Tensor | None, bits: int) -> Tensor:
        """The quantised weight, differentiable in weight and scale."""
        assert log_scale is not None
        return fake_quantise(weight, log_scale.exp(), bits)

    def quantise(self, weight: Tensor, log_scale: Tensor | None, bits: int) -> Quantised:
        """The same weight as integers and scales."""
        assert log_scale is not None
        return quantise(weight, log_scale.exp(), bits)


def _least_squares_scale(weight: Tensor, bits: int, granularity: Granularity) -> Tensor:
    """Tries fractions of the scale that clamps nothing, and keeps for each scale the one of the least error."""
    shape = granularity.scale_shape(weight.shape)
    unclamped = absmax_scale(weight, bits, granularity)
    best, least = unclamped, torch.full_like(unclamped, torch.inf)
    for fraction in torch.linspace(0.1, 1.0, _CANDIDATES).tolist():
        scale = unclamped * fraction
        error = reduce_like((fake_quantise(weight, scale, bits) - weight).square(), shape)
        best = torch.where(error < least, scale, best)
        least = torch.minimum(error, least)
    return best
