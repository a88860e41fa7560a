"""Granularity: how many scales a quantised weight has, as frozen values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


class Granularity(Protocol):
    """How the weights of a matrix share scales."""

    def scale_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of the scales of a weight of shape ``(output channels, ...)``, broadcastable to it."""
        ...


@dataclass(frozen=True)
class PerTensor:
    """One scale for a whole weight."""

    def scale_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """``(1, 1, ...)``."""
        return (1,) * len(shape)


@dataclass(frozen=True)
class PerChannel:
    """One scale for each output channel."""

    def scale_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """``(output channels, 1, ...)``."""
        return (shape[0],) + (1,) * (len(shape) - 1)


def narrow(scales: Tensor, shape: Sequence[int]) -> Tensor:
    """The scales of a weight that was cut to a prefix: each dimension of ``scales`` cut to ``shape``."""
    return scales[tuple(slice(size) for size in shape)]


def largest_magnitude(weight: Tensor, granularity: Granularity) -> Tensor:
    """The largest magnitude among all weights that share a scale, shaped like the scales."""
    shared = [axis for axis, size in enumerate(granularity.scale_shape(weight.shape)) if size == 1]
    return weight.abs().amax(shared, keepdim=True) if shared else weight.abs()
