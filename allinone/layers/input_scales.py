"""The scales by which a supernet's layer rounds the inputs of its linear maps."""

from collections.abc import Iterator
from math import log, prod

import torch
from torch import Tensor, nn

from allinone.layers.linear import roundings
from allinone.quantization import INPUT_BITS, Activations, integer_range
from allinone.subnet import FULL_PRECISION

_SMALLEST_RANGE = 1e-6  # of inputs that were always zero


class InputScales(nn.Module):
    """What the members of a layer hand in as the scales of its linear maps' inputs; those of full precision nothing.

    A scale that is stored is shared by all precisions, learned as a logarithm, and not a number (NaN) until
    :meth:`take_range` was told what is heard: a network that was never told says nothing rather than something wrong.

    Args:
        module: the layer.
        activations: how inputs are rounded; None leaves them as they are.
    """

    def __init__(self, module: nn.Module, activations: Activations | None) -> None:
        super().__init__()
        self.shape = () if activations is None else activations.scale_shape
        self.names = () if activations is None else roundings(module)
        self.log_scales = nn.ParameterDict()
        self._stored = self.names if prod(self.shape) else ()
        for name in self._stored:
            self.log_scales[_key(name)] = nn.Parameter(torch.full((1, 1), torch.nan))  # one row, for all precisions

    def of(self, bits: int, like: Tensor) -> dict[str, Tensor]:
        """The scales that a member of so many bits hands in, by the names of the module's buffers.

        Those that are not stored, and have no entries, are on the device of ``like``.
        """
        if bits == FULL_PRECISION:
            return {}
        return {
            f"{name}.scale": self.log_scales[_key(name)].exp().view(()) if self._stored else like.new_empty(0)
            for name in self.names
        }

    def stored(self) -> Iterator[tuple[str, Tensor]]:
        """The scales that are stored, each ``()``, by the same names."""
        return ((f"{name}.scale", self.log_scales[_key(name)].detach().exp().view(())) for name in self._stored)

    @property
    def unknown(self) -> list[str]:
        """The roundings, by their names in the module, whose range was never told."""
        return [name for name in self._stored if bool(self.log_scales[_key(name)].isnan())]

    @torch.no_grad()
    def take_range(self, name: str, largest: float) -> None:
        """Sets the scale of a rounding such that the largest magnitude of what it is given is the largest integer."""
        scale = max(largest, _SMALLEST_RANGE) / integer_range(INPUT_BITS)[1]
        self.log_scales[_key(name)].fill_(log(scale))

    @torch.no_grad()
    def take_over(self, name: str, scale: Tensor) -> None:
        """Sets a scale that is stored, by its name in :meth:`stored`, to that of another network, if that has one."""
        if scale.numel():
            self.log_scales[_key(name.removesuffix(".scale"))].fill_(scale.log().item())


def _key(name: str) -> str:
    """A module's name as a key of a ParameterDict, which bears no dots."""
    return name.replace(".", "/")
