"""The decoder of a supernet: one attention decoder whose members share all weights."""

from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from allinone.layers.dropout import as_tensors
from allinone.layers.elastic import Elastic
from allinone.models.decoder import DecoderLayer, TransformerDecoder, after_prompt, valid_frames
from allinone.models.decoder_layout import DecoderLayout
from allinone.quantization import Quantised, Quantizer
from allinone.subnet import LayerConfig


class ElasticDecoder(nn.Module):
    """A decoder run as any of its members: the first layers of it, each narrower and coarser, with fewer heads.

    Args:
        layout: its sizes.
        dim: of the encoder.
        vocab_size: number of labels.
        largest: the layers of the largest member.
        quantizer: how weights are rounded.
        bits: bit-widths of the members; embedding and output have that of the member's first layer.
        first_scales: as in :class:`allinone.layers.elastic.Elastic`.
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
    ) -> None:
        super().__init__()
        self.layout, self.dim, self.vocab_size = layout, dim, vocab_size
        decoder = layout.build(largest, dim, vocab_size)
        self.embedding = Elastic(decoder.embedding, {}, quantizer, bits, first_scales)
        self.layers = nn.ModuleList(
            Elastic(layer, cast(DecoderLayer, layer).axes, quantizer, bits, first_scales) for layer in decoder.layers
        )
        self.output = Elastic(decoder.output, {}, quantizer, bits, first_scales)

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
        embedding = self.embedding.effective(layers[0])  # once for both of its uses
        x = self.embedding.run(embedding, after_prompt(labels, prompt))
        factors = [1.0] * len(layers) if dropout is None else as_tensors(dropout, encoded.device)
        for layer, config, factor in zip(self.layers, layers, factors, strict=False):  # the first of the largest
            x = layer(config, x, encoded, valid, factor)
        return self.output(layers[0], x[:, len(prompt) - 1 :], embedding["labels.weight"])

    def weights(self, layers: Sequence[LayerConfig]) -> dict[str, Tensor | Quantised]:
        """The effective weights of a member, under the names of a :class:`TransformerDecoder`."""
        configs = (layers[0], layers[0], *layers)
        return {
            f"{part}.{name}": weight
            for (part, elastic), config in zip(self.parts(), configs, strict=False)  # the first layers
            for name, weight in elastic.weights(config).items()
        }

    def member(self, layers: Sequence[LayerConfig]) -> TransformerDecoder:
        """A plain decoder with a member's effective weights as they are now, for a search: it rounds them only once."""
        with torch.device("meta"):
            decoder = self.layout.build(layers, self.dim, self.vocab_size)
        weights = {
            name: weight.dequantise() if isinstance(weight, Quantised) else weight
            for name, weight in self.weights(layers).items()
        }
        decoder.load_state_dict(weights, assign=True)
        return decoder.eval().requires_grad_(False)

    def parts(self) -> Iterator[tuple[str, Elastic]]:
        """The elastic modules under their names in a :class:`TransformerDecoder`; the layers come last."""
        yield "embedding", self.embedding
        yield "output", self.output
        for index, layer in enumerate(self.layers):
            yield f"layers.{index}", cast(Elastic, layer)
