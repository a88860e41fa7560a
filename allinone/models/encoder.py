"""Encoders: an ordinary one, and the elastic one that contains its sub-networks."""

from collections.abc import Iterable, Mapping
from typing import Protocol, cast

from torch import Tensor, nn

from allinone.layers.attention import Context
from allinone.layers.axes import Axis


class EncoderLayer(Protocol):
    """What a layer offers besides being a module from ``(batch, time, dim)`` and a context to the same shape."""

    @property
    def axes(self) -> Mapping[str, Axis]:
        """For each parameter of which a smaller member has only a part, along which dimension."""
        ...

    def context(self, x: Tensor, lengths: Tensor) -> Context:
        """What all layers share for a batch of this shape."""
        ...


class Encoder(nn.Module):
    """A front end and a stack of layers: no elastic code.

    Args:
        front_end: from features ``(batch, time, bands)`` and lengths to ``(batch, time, dim)`` and lengths.
        layers: modules that are :class:`EncoderLayer` too.
        distances: what all layers share as the context's positions, of a number of frames; None leaves that to them.
        final: the norm behind the last layer; None leaves it out.
    """

    def __init__(
        self,
        front_end: nn.Module,
        layers: Iterable[nn.Module],
        distances: nn.Module | None = None,
        final: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.front_end = front_end
        self.layers = nn.ModuleList(layers)
        self.distances, self.final = distances, final

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encodes.

        Args:
            features: ``(batch, time, bands)``.
            lengths: valid frames of each utterance, ``(batch,)``.

        Returns:
            ``(batch, encoder time, dim)`` and the valid encoder frames, ``(batch,)``.
        """
        x, lengths = self.front_end(features, lengths)
        context = cast(EncoderLayer, self.layers[0]).context(x, lengths)
        if self.distances is not None:
            context = context._replace(positions=self.distances(x.shape[1]))
        for layer in self.layers:
            x = layer(x, context)
        return x if self.final is None else self.final(x), lengths
