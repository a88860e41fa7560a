"""Native quantisation-aware training: the scale follows from the largest weight, nothing is learned."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from allinone.quantization.affine import Quantised, fake_quantise, integer_range, quantise
from allinone.quantization.granularity import Granularity, PerChannel, largest_magnitude

_SMALLEST_SCALE = 1e-8  # of a row of zeros, which any scale represents


@dataclass(frozen=True)
class AbsMax:
    """Dynamic scales, max |weight| / (2^(bits - 1) - 1), as in USM-Lite (section 2.1)."""

    granularity: Granularity = field(default_factory=PerChannel)
    nested: ClassVar[bool] = False

    def initial_log_scales(self, weight: Tensor, bits: Sequence[int]) -> None:
        """None: this quantiser has no parameters."""

    def log_scale_shape(self, shape: Sequence[int]) -> None:
        """None, for the same reason."""

    def fake_quantise(self, weight: Tensor, log_scale: Tensor | None, bits: int) -> Tensor:
        """The quantised weight, differentiable in the weight (straight-through)."""
        return fake_quantise(weight, absmax_scale(weight, bits, self.granularity), bits)

    def quantise(self, weight: Tensor, log_scale: Tensor | None, bits: int) -> Quantised:
        """The same weight as integers and scales."""
        return quantise(weight, absmax_scale(weight, bits, self.granularity), bits)


def absmax_scale(weight: Tensor, bits: int, granularity: Granularity) -> Tensor:
    """The smallest scale that clamps no weight, max |weight| / (2^(bits - 1) - 1); no gradient flows through it."""
    return (largest_magnitude(weight.detach(), granularity) / integer_range(bits)[1]).clamp_(min=_SMALLEST_SCALE)
