"""The supernet: one encoder whose sub-networks share all weights."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Self, cast

import torch
import torch._dynamo
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from allinone.layers.attention import Context
from allinone.layers.dropout import as_tensors
from allinone.layers.elastic import NO_BUFFERS, Elastic, beside
from allinone.layers.pruning import Pruning
from allinone.models.encoder import Encoder, EncoderLayer
from allinone.quantization import Activations, Quantised, Quantizer
from allinone.sparsity import Kept
from allinone.subnet import LayerConfig, SubnetConfig

Statistics = dict[str, dict[str, Tensor]]

WHOLE = LayerConfig(1)  # of a part that is the same in all members
_GRAPHS = 64  # of one layer: torch gives up compiling after that many


class ElasticEncoder(nn.Module):
    """An encoder run as any of its sub-networks: the first layers of it, each narrower and coarser, with fewer heads.

    Args:
        encoder: at the size of the largest member.
        quantizer: how weights are rounded.
        bits: bit-widths of the members.
        front_end_bits: precision of the front end; None means that of the member's first layer. With a precision of
            its own the front end is the same for all members and needs to run only once for all of them.
        first_scales: as in :class:`allinone.layers.elastic.Elastic`.
        pruning: likewise, of the layers.
        activations: likewise, of front end and layers.

    Attributes:
        recompute: whether what happens inside each layer is computed again in the backward pass instead of being kept
            (activation checkpointing, Chen et al. 2016): less memory for one more forward pass.
        statistics: of batch norms: under the name of an encoder, the buffers of its last layer. A layer's statistics
            depend on itself and on the layers below it, so that a member has those of all shallower ones of its kind,
            whatever its decoder. They are of the weights as they were when it was recalibrated, are no part of the
            state, and are neither averaged nor synchronised; training does without.
    """

    statistics: Statistics

    def __init__(
        self,
        encoder: Encoder,
        quantizer: Quantizer,
        bits: tuple[int, ...],
        front_end_bits: int | None,
        first_scales: bool = True,
        pruning: Pruning | None = None,
        activations: Activations | None = None,
    ) -> None:
        super().__init__()
        self.front_end_bits = front_end_bits
        self.recompute = False
        self.statistics = {}
        in_front = bits if front_end_bits is None else (front_end_bits,)
        self.front_end = Elastic(encoder.front_end, {}, quantizer, in_front, first_scales, None, activations)
        self.distances = encoder.distances and Elastic(encoder.distances, {}, quantizer, ())
        self.final = encoder.final and Elastic(encoder.final, {}, quantizer, ())
        self.layers = nn.ModuleList(
            Elastic(layer, cast(EncoderLayer, layer).axes, quantizer, bits, first_scales, pruning, activations)
            for layer in encoder.layers
        )

    @property
    def shares_front_end(self) -> bool:
        """Whether the front end is the same for every member."""
        return self.front_end_bits is not None

    @property
    def needs_statistics(self) -> bool:
        """Whether evaluation needs statistics, of each member its own."""
        return any(elastic.buffer_names for _, elastic in self.parts())

    def lacks_statistics(self, subnet: SubnetConfig) -> bool:
        """Whether a member has to be recalibrated before it can be evaluated."""
        return self.needs_statistics and subnet.encoder.name not in self.statistics

    def embed(
        self, features: Tensor, lengths: Tensor, subnet: SubnetConfig, masked: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The front end: features ``(batch, time, bands)`` to ``(batch, encoder time, dim)``, and its lengths.

        ``masked`` says which frames a front end that can do so replaces, ``(batch, encoder time)``; None replaces none.
        """
        inputs = (features, lengths) if masked is None else (features, lengths, masked)
        return self.front_end(self._front_end_config(subnet), *inputs)

    def encode(self, x: Tensor, lengths: Tensor, subnet: SubnetConfig) -> Tensor:
        """The layers: ``(batch, encoder time, dim)`` to the same."""
        return self.finish(self.layer_outputs(x, lengths, subnet)[-1])

    def finish(self, x: Tensor) -> Tensor:
        """What a layer gave to what an encoder that ends there says, ``(batch, encoder time, dim)`` to the same."""
        return x if self.final is None else self.final(WHOLE, x)

    def layer_outputs(
        self,
        x: Tensor,
        lengths: Tensor,
        subnet: SubnetConfig,
        dropout: Sequence[float] | None = None,
        skipped: Collection[int] = (),
    ) -> list[Tensor]:
        """What each layer of a member gives; once finished, the shallower members' outputs, too.

        Args:
            x: ``(batch, encoder time, dim)``.
            lengths: valid frames, ``(batch,)``.
            subnet: the member.
            dropout: for each of its layers, the factor of its dropout probability; None leaves them all as they are.
            skipped: which of its layers pass on what they are given, counted from zero.
        """
        first = cast(Elastic, self.layers[0]).module
        shared = cast(EncoderLayer, first).context(x, lengths)
        if self.distances is not None:
            shared = shared._replace(positions=self.distances(WHOLE, x.shape[1]))
        factors = [1.0] * subnet.depth if dropout is None else as_tensors(dropout, x.device)
        contexts = [shared._replace(dropout=factor) for factor in factors]
        buffers = [NO_BUFFERS] * subnet.depth if self.training else self._statistics(subnet)
        first_layers = zip(self.layers, subnet.layers, contexts, buffers, strict=False)  # of the largest
        outputs = []
        for index, (layer, config, context, own) in enumerate(first_layers):
            if index not in skipped:
                x = self._run(cast(Elastic, layer), config, x, context, own)
            outputs.append(x)
        return outputs

    def _run(
        self, layer: Elastic, config: LayerConfig, x: Tensor, context: Context, buffers: Mapping[str, Tensor]
    ) -> Tensor:
        if self.recompute and torch.is_grad_enabled():
            return cast(Tensor, checkpoint(layer, config, x, context, buffers=buffers, use_reentrant=False))
        return layer(config, x, context, buffers=buffers)

    def compile_layers(self, backend: str = "inductor") -> None:
        """Compiles each layer by itself, in place: one graph for each precision and a few, whatever the member.

        Where heads are elastic, up to six for each precision and a few.
        """
        torch._dynamo.config.recompile_limit = max(_GRAPHS, torch._dynamo.config.recompile_limit)
        for layer in self.layers:
            layer.compile(backend=backend)

    def forward(self, features: Tensor, lengths: Tensor, subnet: SubnetConfig) -> tuple[Tensor, Tensor]:
        """Encodes as one member; shapes as in :meth:`Encoder.forward`."""
        x, lengths = self.embed(features, lengths, subnet)
        return self.encode(x, lengths, subnet), lengths

    def weights(self, subnet: SubnetConfig) -> dict[str, Tensor | Quantised]:
        """The effective weights and statistics of a member, under the names of an extracted :class:`Encoder`."""
        shared = {"front_end": self._front_end_config(subnet), "distances": WHOLE, "final": WHOLE}
        layers = zip(subnet.layers, self._statistics(subnet), strict=True)
        configs = {part: (config, NO_BUFFERS) for part, config in shared.items()} | {
            f"layers.{index}": of_layer for index, of_layer in enumerate(layers)
        }
        return {
            f"{part}.{name}": weight
            for part, elastic in self.parts()
            if part in configs
            for name, weight in elastic.weights(*configs[part]).items()
        }

    def kept(self, subnet: SubnetConfig) -> dict[str, Kept]:
        """Which weights a member keeps, of those that it prunes, under the names of an extracted :class:`Encoder`."""
        return {
            f"layers.{index}.{name}": kept
            for index, (layer, config) in enumerate(zip(self.layers, subnet.layers, strict=False))
            for name, kept in cast(Elastic, layer).kept(config).items()
        }

    def parts(self) -> Iterator[tuple[str, Elastic]]:
        """The elastic modules under their names in an :class:`Encoder`, from the input on."""
        yield "front_end", self.front_end
        for name, elastic in (("distances", self.distances), ("final", self.final)):
            if elastic is not None:
                yield name, elastic
        for index, layer in enumerate(self.layers):
            yield f"layers.{index}", cast(Elastic, layer)

    def _statistics(self, subnet: SubnetConfig) -> list[Mapping[str, Tensor]]:
        """The buffers of each layer of a member."""
        if not self.needs_statistics:
            return [NO_BUFFERS] * subnet.depth
        if self.lacks_statistics(subnet):
            raise ValueError(
                "In evaluation a member of a network with batch norm requires statistics of its own; found none for "
                f"{subnet.name}. Recalibrate it first (allinone.tasks.recalibration.recalibrate)."
            )
        return [self.statistics[encoder.name] for encoder in prefixes(subnet)]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Moves the statistics along with weights and buffers."""
        self.statistics = {
            member: {name: fn(buffer) for name, buffer in buffers.items()}
            for member, buffers in self.statistics.items()
        }
        return super()._apply(fn, recurse)

    def _front_end_config(self, subnet: SubnetConfig) -> LayerConfig:
        first = beside(subnet.layers[0])
        return first if self.front_end_bits is None else replace(first, bits=self.front_end_bits)


def prefixes(subnet: SubnetConfig) -> list[SubnetConfig]:
    """The encoders made of the first layer of a member's, the first two, and so on up to all; without decoder part."""
    return [SubnetConfig(subnet.layers[:depth]) for depth in range(1, subnet.depth + 1)]
