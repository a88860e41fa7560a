"""Granularity: how many scales a quantised weight has, as frozen values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


class Granularity(Protocol):
    """How the weights of a matrix share scales: in blocks, see :func:`in_blocks`."""

    def scale_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of the scales of a weight of shape ``(output channels, ...)``; each size divides the weight's."""
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


@dataclass(frozen=True)
class PerGroup:
    """One scale for each group of consecutive inputs of each output channel (sub-channel, USM-Lite, section 2.2).

    Only matrices have groups; a weight of three or more dimensions, such as a convolution's, has a scale per channel.

    Args:
        size: inputs of a group; it divides those of every matrix, of narrow members, too.

    Raises:
        ValueError: if the size is no whole number above 0.
    """

    size: int

    def __post_init__(self) -> None:
        if type(self.size) is not int or self.size < 1:
            raise ValueError(
                f"A group must have a whole number of inputs, 1 or more; found {self.size!r}. Give such a size, as 64."
            )

    def scale_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """``(output channels, groups)`` of a matrix ``(output channels, inputs)``, else as :class:`PerChannel`.

        Raises:
            ValueError: if groups do not divide the inputs.
        """
        if len(shape) != 2:
            return PerChannel().scale_shape(shape)
        outputs, inputs = shape
        if inputs % self.size:
            raise ValueError(
                f"Groups of {self.size} inputs must divide the inputs of a matrix; found {inputs} inputs. "
                "Choose a size that divides them, or one scale for each channel."
            )
        return outputs, inputs // self.size


def in_blocks(weight: Tensor, scale_shape: Sequence[int]) -> tuple[Tensor, Sequence[int]]:
    """A weight and the shape of its scales such that the scales broadcast to it.

    A scale covers a block: where a weight has n entries along a dimension and its scales s, each covers the next n / s.
    A dimension that has several such blocks is split into ``(s, n / s)``; a weight without one is returned as it is.
    """
    shape = list(scale_shape)
    for axis in reversed(range(len(shape))):
        if scale_shape[axis] not in (1, weight.shape[axis]):
            weight = weight.unflatten(axis, (scale_shape[axis], -1))
            shape.insert(axis + 1, 1)
    return weight, shape


def narrow(scales: Tensor, shape: Sequence[int]) -> Tensor:
    """The scales of a weight that was cut to a prefix: each dimension of ``scales`` cut to ``shape``."""
    return scales[tuple(slice(size) for size in shape)]


def largest_magnitude(weight: Tensor, granularity: Granularity) -> Tensor:
    """The largest magnitude among all weights that share a scale, shaped like the scales."""
    scale_shape = granularity.scale_shape(weight.shape)
    blocks, shape = in_blocks(weight, scale_shape)
    shared = [axis for axis, size in enumerate(shape) if size == 1]
    return blocks.abs().amax(shared, keepdim=True).reshape(scale_shape) if shared else blocks.abs()


def mean_magnitude(weight: Tensor, granularity: Granularity) -> Tensor:
    """The mean magnitude of all weights that share a scale and are not zero, shaped like the scales."""
    scale_shape = granularity.scale_shape(weight.shape)
    blocks, shape = in_blocks(weight, scale_shape)
    shared = [axis for axis, size in enumerate(shape) if size == 1]
    if not shared:
        return blocks.abs()
    counts = (blocks != 0).sum(shared, keepdim=True).clamp_(min=1)
    return (blocks.abs().sum(shared, keepdim=True) / counts).reshape(scale_shape)
