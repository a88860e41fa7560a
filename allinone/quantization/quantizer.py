"""The protocol of quantisers: frozen values that hold no tensors."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol, cast

from torch import Tensor

from allinone.quantization.affine import Quantised
from allinone.quantization.granularity import Granularity, PerGroup


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


def grouped(quantizer: Quantizer, inputs_per_scale: int | None) -> Quantizer:
    """A quantiser with a scale for every so many inputs of each output, whatever its own granularity.

    Args:
        quantizer: one that learns nothing.
        inputs_per_scale: None leaves it as it is.

    Raises:
        ValueError: if it learns its scales: these have one shape for all members.
    """
    if inputs_per_scale is None:
        return quantizer
    granularity = PerGroup(inputs_per_scale)
    if quantizer.log_scale_shape((1, inputs_per_scale)) is not None:
        raise ValueError(
            "Members with scale groups of their own require a quantiser that learns no scales; found "
            f"{type(quantizer).__name__}. Give quantizer=absmax, or leave space.scale_groups out and give "
            "quantizer=lsq_groups, which has one size of groups for all members."
        )
    return cast(Quantizer, replace(cast(Any, quantizer), granularity=granularity))
