"""Dynamic scales from the mean magnitude: for few bits a better range than that of the largest weight."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from allinone.quantization.affine import Quantised, fake_quantise, quantise
from allinone.quantization.granularity import Granularity, PerChannel, mean_magnitude

_SMALLEST_SCALE = 1e-8  # of a row of zeros, which any scale represents

# Of Gaussian weights: the step of the least squared error, with integers from -2^(bits - 1) to 2^(bits - 1) - 1,
# divided by the mean magnitude, sqrt(2 / pi) standard deviations
_STEPS = {2: 1.31396, 3: 0.75427, 4: 0.42438, 5: 0.23662, 6: 0.13057, 7: 0.07130, 8: 0.03856}


@dataclass(frozen=True)
class AbsMean:
    """Dynamic scales, constant(bits) * mean |weight|, of the weights that are not zero.

    The constants are those of the least squared error if weights are Gaussian (LSQ, Esser et al. 2020, section 2.1,
    begins in this way with 2 / sqrt(largest integer)). The largest of many such weights is far from the others: at 4
    bits or fewer the steps that it asks for are too wide. Here the largest weights are clamped. What was pruned before
    does not count: zeros do not move the scale (prune-then-quantise, USM-Lite, section 2.3).
    """

    granularity: Granularity = field(default_factory=PerChannel)
    nested: ClassVar[bool] = False

    def initial_log_scales(self, weight: Tensor, bits: Sequence[int]) -> None:
        """None: this quantiser has no parameters."""

    def log_scale_shape(self, shape: Sequence[int]) -> None:
        """None, for the same reason."""

    def fake_quantise(self, weight: Tensor, log_scale: Tensor | None, bits: int) -> Tensor:
        """The quantised weight, differentiable in the weight (straight-through; nothing where it is clamped)."""
        return fake_quantise(weight, absmean_scale(weight, bits, self.granularity), bits)

    def quantise(self, weight: Tensor, log_scale: Tensor | None, bits: int) -> Quantised:
        """The same weight as integers and scales."""
        return quantise(weight, absmean_scale(weight, bits, self.granularity), bits)


def absmean_scale(weight: Tensor, bits: int, granularity: Granularity) -> Tensor:
    """The scales, shaped as the granularity says; no gradient flows through them."""
    return (_STEPS[bits] * mean_magnitude(weight.detach(), granularity)).clamp_(min=_SMALLEST_SCALE)
