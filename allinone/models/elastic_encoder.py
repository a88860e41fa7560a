"""The supernet: one encoder whose sub-networks share all weights."""

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import torch
import torch._dynamo
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from allinone.layers.elastic import Elastic
from allinone.models.encoder import Encoder, EncoderLayer
from allinone.quantization import Quantised, Quantizer
from allinone.subnet import LayerConfig, SubnetConfig

_GRAPHS = 64  # of one layer: torch gives up compiling after that many


class ElasticEncoder(nn.Module):
    """An encoder run as any of its sub-networks: the first layers of it, each narrower and coarser.

    Args:
        encoder: at the size of the largest member.
        quantizer: how weights are rounded.
        bits: bit-widths of the members.
        front_end_bits: precision of the front end; None means that of the member's first layer. With a precision of
            its own the front end is the same for all members and needs to run only once for all of them.

    Attributes:
        recompute: whether what happens inside each layer is computed again in the backward pass instead of being kept
            (activation checkpointing, Chen et al. 2016): less memory for about a third more time.
    """

    def __init__(
        self, encoder: Encoder, quantizer: Quantizer, bits: tuple[int, ...], front_end_bits: int | None
    ) -> None:
        super().__init__()
        self.front_end_bits = front_end_bits
        self.recompute = False
        self.front_end = Elastic(
            encoder.front_end, {}, quantizer, bits if front_end_bits is None else (front_end_bits,)
        )
        self.layers = nn.ModuleList(
            Elastic(layer, cast(EncoderLayer, layer).width_axes, quantizer, bits) for layer in encoder.layers
        )

    @property
    def shares_front_end(self) -> bool:
        """Whether the front end is the same for every member."""
        return self.front_end_bits is not None

    def embed(self, features: Tensor, lengths: Tensor, subnet: SubnetConfig) -> tuple[Tensor, Tensor]:
        """The front end: features ``(batch, time, bands)`` to ``(batch, encoder time, dim)``, and its lengths."""
        return self.front_end(self._front_end_config(subnet), features, lengths)

    def encode(self, x: Tensor, lengths: Tensor, subnet: SubnetConfig) -> Tensor:
        """The layers: ``(batch, encoder time, dim)`` to the same."""
        first = cast(Elastic, self.layers[0]).module
        context = cast(EncoderLayer, first).context(x, lengths)
        for layer, config in zip(self.layers, subnet.layers, strict=False):  # the first layers of the largest
            if self.recompute and torch.is_grad_enabled():
                x = cast(Tensor, checkpoint(layer, config, x, context, use_reentrant=False))
            else:
                x = layer(config, x, context)
        return x

    def compile_layers(self, backend: str = "inductor") -> None:
        """Compiles each layer by itself, in place: one graph for each precision and a few, whatever the member."""
        torch._dynamo.config.recompile_limit = max(_GRAPHS, torch._dynamo.config.recompile_limit)
        for layer in self.layers:
            layer.compile(backend=backend)

    def forward(self, features: Tensor, lengths: Tensor, subnet: SubnetConfig) -> tuple[Tensor, Tensor]:
        """Encodes as one member; shapes as in :meth:`Encoder.forward`."""
        x, lengths = self.embed(features, lengths, subnet)
        return self.encode(x, lengths, subnet), lengths

    def weights(self, subnet: SubnetConfig) -> dict[str, Tensor | Quantised]:
        """The effective weights of a member, under the names of an extracted :class:`Encoder`."""
        configs = (self._front_end_config(subnet), *subnet.layers)
        return {
            f"{part}.{name}": weight
            for (part, elastic), config in zip(self.parts(), configs, strict=False)  # the first layers of the largest
            for name, weight in elastic.weights(config).items()
        }

    def parts(self) -> Iterator[tuple[str, Elastic]]:
        """The elastic modules under their names in an :class:`Encoder`, from the input on."""
        yield "front_end", self.front_end
        for index, layer in enumerate(self.layers):
            yield f"layers.{index}", cast(Elastic, layer)

    def _front_end_config(self, subnet: SubnetConfig) -> LayerConfig:
        first = subnet.layers[0]
        return first if self.front_end_bits is None else replace(first, bits=self.front_end_bits)
