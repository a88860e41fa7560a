"""The protocol of quantisers: frozen values that hold no tensors."""

from collections.abc import Sequence
from typing import ClassVar, Protocol

from torch import Tensor

from allinone.quantization.affine import Quantised
from allinone.quantization.granularity import Granularity


class Quantizer(Protocol):
    """Turns a weight into few bits. Whatever it learns is handed in, so that sub-networks can share it.

    Attributes:
        nested: whether fewer bits are the first ones of more, so that all precisions share one row of learned scales.
    """

    nested: ClassVar[bool]

    @property
    def granularity(self) -> Granularity:
        """How many scales a weight has."""
        ...

    def initial_log_scales(self, weight: Tensor, bits: Sequence[int]) -> Tensor | None:
        """Starting values of learned scales, a row for each bit-width (nested: one); None where nothing is learned."""
        ...

    def log_scale_shape(self, shape: Sequence[int]) -> tuple[int, ...] | None:
        """The shape of one row of them, of a weight of that shape; None where nothing is learned."""
        ...

    def fake_quantise(self, weight: Tensor, log_scale: Tensor | None, bits: int) -> Tensor:
        """The quantised weight in floating point, differentiable."""
        ...

    def quantise(self, weight: Tensor, log_scale: Tensor | None, bits: int) -> Quantised:
        """The same weight as integers and scales."""
        ...
