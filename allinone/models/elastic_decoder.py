"""The decoder of a supernet: one attention decoder whose members share all weights."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from allinone.layers.dropout import as_tensors
from allinone.layers.elastic import Elastic, beside
from allinone.layers.pruning import Pruning
from allinone.models.decoder import DecoderLayer, TransformerDecoder, after_prompt, valid_frames
from allinone.models.decoder_layout import DecoderLayout
from allinone.models.rounded_inputs import round_decoder_inputs
from allinone.quantization import Activations, Quantised, Quantizer, as_float
from allinone.sparsity import Kept
from allinone.subnet import LayerConfig

_LAST_BIAS = "feed_forward.down.bias"  # of a layer: whatever is added to it, is added to what the layer says


class ElasticDecoder(nn.Module):
    """A decoder run as any of its members: some layers of it, each narrower and coarser, with fewer heads.

    A member of d layers has the d layers of the lowest ranks, in the order of the network: the first d ones, unless
    :meth:`keep` was told others. What the missing ones add on average stays behind in a bias of the layer below them
    (mean replacement, as in :class:`allinone.layers.elastic.Elastic`).

    Args:
        layout: its sizes.
        dim: of the encoder.
        vocab_size: number of labels.
        largest: the layers of the largest member.
        quantizer: how weights are rounded.
        bits: bit-widths of the members; embedding and output have that of the member's first layer.
        first_scales: as in :class:`allinone.layers.elastic.Elastic`.
        pruning: likewise, of the layers; not of the embedding.
        activations: likewise, of layers and output.
    """

    def __init__(
        self,
        layout: DecoderLayout,
        dim: int,
        vocab_size: int,
        largest: Sequence[LayerConfig],
        quantizer: Quantizer,
        bits: tuple[int, ...],
        first_scales: bool = True,
        pruning: Pruning | None = None,
        activations: Activations | None = None,
    ) -> None:
        super().__init__()
        self.layout, self.dim, self.vocab_size, self.activations = layout, dim, vocab_size, activations
        decoder = layout.build(largest, dim, vocab_size)
        self.embedding = Elastic(decoder.embedding, {}, quantizer, bits, first_scales)
        self.layers = nn.ModuleList(
            Elastic(layer, cast(DecoderLayer, layer).axes, quantizer, bits, first_scales, pruning, activations)
            for layer in decoder.layers
        )
        self.output = Elastic(decoder.output, {}, quantizer, bits, first_scales, None, activations)
        self.register_buffer("ranks", torch.arange(len(self.layers)))
        self.register_buffer("means", torch.zeros(len(self.layers), dim))
        self.ranked = tuple(range(len(self.layers)))  # the ranks for a look without waiting for a device
        self.register_load_state_dict_pre_hook(_without_ranks)
        self.register_load_state_dict_post_hook(_look_at_ranks)

    @torch.no_grad()
    def keep(self, ranks: Tensor, means: Tensor) -> None:
        """Sets which layers a member of fewer keeps, and what each layer adds on average.

        Args:
            ranks: of each layer, ``(layers,)``, from 0 up; the first one's is 0.
            means: ``(layers, dim)``.
        """
        self.get_buffer("ranks").copy_(ranks)
        self.get_buffer("means").copy_(means)
        _look_at_ranks(self)

    def forward(
        self,
        encoded: Tensor,
        lengths: Tensor,
        labels: Tensor,
        layers: Sequence[LayerConfig],
        dropout: Sequence[float] | None = None,
    ) -> Tensor:
        """As :meth:`TransformerDecoder.forward`, by the member of these layers.

        ``dropout`` has for each layer the factor of its dropout probability; None leaves them all as they are.
        """
        valid = valid_frames(lengths, encoded.shape[1])
        prompt = self.layout.prompt
        edge = beside(layers[0])
        embedding = self.embedding.effective(edge)  # once for both of its uses
        x = self.embedding.run(embedding, after_prompt(labels, prompt))
        factors = [1.0] * len(layers) if dropout is None else as_tensors(dropout, encoded.device)
        for (layer, missing), config, factor in zip(self._kept(len(layers)), layers, factors, strict=True):
            weights = layer.effective(config)
            if missing is not None:
                weights[_LAST_BIAS] = weights[_LAST_BIAS] + missing
            x = layer.run(weights, x, encoded, valid, factor)
        return self.output(edge, x[:, len(prompt) - 1 :], embedding["labels.weight"])

    def weights(self, layers: Sequence[LayerConfig]) -> dict[str, Tensor | Quantised]:
        """The effective weights of a member, under the names of a :class:`TransformerDecoder`."""
        edge = beside(layers[0])
        parts = {"embedding": self.embedding.weights(edge), "output": self.output.weights(edge)}
        for index, ((layer, missing), config) in enumerate(zip(self._kept(len(layers)), layers, strict=True)):
            weights = layer.weights(config)
            if missing is not None:
                bias = weights[_LAST_BIAS]
                assert isinstance(bias, Tensor)
                weights[_LAST_BIAS] = bias + missing
            parts[f"layers.{index}"] = weights
        return {f"{part}.{name}": weight for part, weights in parts.items() for name, weight in weights.items()}

    def kept(self, layers: Sequence[LayerConfig]) -> dict[str, Kept]:
        """Which weights a member keeps, of those that it prunes, under the names of a :class:`TransformerDecoder`."""
        return {
            f"layers.{index}.{name}": kept
            for index, ((layer, _), config) in enumerate(zip(self._kept(len(layers)), layers, strict=True))
            for name, kept in layer.kept(config).items()
        }

    def member(self, layers: Sequence[LayerConfig]) -> TransformerDecoder:
        """A plain decoder with a member's effective weights as they are now, for a search: it rounds them only once."""
        with torch.device("meta"):
            decoder = self.layout.build(layers, self.dim, self.vocab_size)
            round_decoder_inputs(decoder, layers, self.activations)
        weights = {name: as_float(weight) for name, weight in self.weights(layers).items()}
        decoder.load_state_dict(weights, assign=True)
        return decoder.eval().requires_grad_(False)

    def parts(self) -> Iterator[tuple[str, Elastic]]:
        """The elastic modules under their names in a :class:`TransformerDecoder`; the layers come last."""
        yield "embedding", self.embedding
        yield "output", self.output
        for index, layer in enumerate(self.layers):
            yield f"layers.{index}", cast(Elastic, layer)

    def _kept(self, depth: int) -> Iterator[tuple[Elastic, Tensor | None]]:
        """The layers of a member, and what those missing right above each add on average, ``(dim,)``; None: nothing."""
        kept = [index for index, rank in enumerate(self.ranked) if rank < depth]
        for index, following in zip(kept, [*kept[1:], len(self.ranked)], strict=True):
            missing = self.get_buffer("means")[index + 1 : following].sum(0) if following > index + 1 else None
            yield cast(Elastic, self.layers[index]), missing


def _without_ranks(decoder: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Adds ranks and means to a state that was written before there were any: the first layers are kept."""
    assert isinstance(decoder, ElasticDecoder)
    means = decoder.get_buffer("means")
    state.setdefault(f"{prefix}ranks", torch.arange(len(means)))
    state.setdefault(f"{prefix}means", torch.zeros_like(means))


def _look_at_ranks(decoder: nn.Module, *_: Any) -> None:
    assert isinstance(decoder, ElasticDecoder)
    decoder.ranked = tuple(decoder.get_buffer("ranks").tolist())
