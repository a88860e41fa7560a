"""The sizes of an attention decoder, as a value that lists, counts and builds its members."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from allinone.layers import FeedForward, LabelAttention
from allinone.models.decoder import BOUNDARY, DecoderLayer, DecoderOutput, LabelEmbedding, TransformerDecoder
from allinone.models.inventory import Inventory
from allinone.subnet import LayerConfig, TensorSpec


@dataclass(frozen=True)
class DecoderLayout:
    """The sizes of an attention decoder; its dimension is that of the encoder.

    What is given beyond the first four are Whisper's ways (Radford et al. 2022, section 2.2) where they are not the
    usual ones.

    Args:
        num_layers: layers of the largest network.
        ffn_dim: feed-forward width of the largest network.
        num_heads: attention heads of the largest network, of both attentions.
        dropout: probability in training.
        head_dim: of each head; None divides the model dimension among the heads.
        activation: of the feed-forward modules.
        key_bias: whether keys have a bias.
        tied: whether the output's weights are the embedding of the labels.
        places: how many places have a vector that is learnt, prompt and text together; None stands for sinusoids.
        prompt: labels that stand before every text.
    """

    num_layers: int
    ffn_dim: int
    num_heads: int
    dropout: float = 0.1
    head_dim: int | None = None
    activation: Literal["silu", "gelu"] = "silu"
    key_bias: bool = True
    tied: bool = False
    places: int | None = None
    prompt: tuple[int, ...] = (BOUNDARY,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompt", tuple(self.prompt))
        if not self.prompt or min(self.prompt) < 0:
            raise ValueError(
                "A decoder requires a prompt of at least one label, each 0 or more; found "
                f"{', '.join(map(str, self.prompt)) or 'none'}. Correct it, or leave it out."
            )
        if self.places is not None and self.places <= len(self.prompt):
            raise ValueError(
                f"A decoder requires more places than its prompt of {len(self.prompt)} labels takes; found "
                f"{self.places}. Give more, or leave them out."
            )

    @property
    def whole(self) -> tuple[LayerConfig, ...]:
        """All layers at full width and precision: what a member has whose decoder is not in the space."""
        return (LayerConfig(self.ffn_dim),) * self.num_layers

    @property
    def most_labels(self) -> int | None:
        """Labels of the longest text that it can spell; None if there is no longest."""
        return None if self.places is None else self.places - len(self.prompt)

    def build(self, layers: Sequence[LayerConfig], dim: int, vocab_size: int) -> TransformerDecoder:
        """An ordinary decoder with these widths and heads; precision is a matter of its weights."""
        head_dim = self._head_dim(dim)
        if max(self.prompt) >= vocab_size:
            raise ValueError(
                f"A decoder requires a prompt of labels below {vocab_size}; found {max(self.prompt)}. Give the "
                "tokenizer that belongs to it."
            )

        def layer(config: LayerConfig) -> DecoderLayer:
            heads = self._heads(config)
            return DecoderLayer(
                LabelAttention(dim, heads, head_dim, self.dropout, self.key_bias),
                LabelAttention(dim, heads, head_dim, self.dropout, self.key_bias),
                FeedForward(dim, config.width, self.dropout, self.activation),
                dim,
            )

        return TransformerDecoder(
            LabelEmbedding(vocab_size, dim, self.dropout, self.places),
            [layer(config) for config in layers],
            DecoderOutput(dim, vocab_size, self.tied),
            self.prompt,
        )

    def tensors(self, layers: Sequence[LayerConfig], dim: int, vocab_size: int) -> Iterator[TensorSpec]:
        """All tensors of such a decoder, as :meth:`build` names them. The papers' rule does not count them.

        Embedding and output have the precision of the first layer. Multiply-accumulates are not counted: they grow
        with the text and with the search.
        """
        edge = Inventory.beside("", layers[0])
        specs = [edge.tensor("embedding.labels.weight", (vocab_size, dim))]
        if self.places is not None:
            specs.append(edge.tensor("embedding.places.weight", (self.places, dim)))
        for index, config in enumerate(layers):
            specs += self._layer(Inventory.layer(index, config), config, dim)
        specs += edge.norm("output.norm", dim)
        if not self.tied:
            specs += edge.weight_and_bias("output.linear", (vocab_size, dim), 0)
        for spec in specs:
            yield replace(spec, name=f"decoder.{spec.name.removeprefix('.')}", counted=False)

    def _layer(self, layer: Inventory, config: LayerConfig, dim: int) -> Iterator[TensorSpec]:
        inner = self._heads(config) * self._head_dim(dim)
        for attention in ("attention", "cross_attention"):
            for projection in ("query", "value"):
                yield from layer.weight_and_bias(f"{attention}.{projection}", (inner, dim), 0)
            yield layer.tensor(f"{attention}.key.weight", (inner, dim))
            if self.key_bias:
                yield layer.tensor(f"{attention}.key.bias", (inner,))
            yield from layer.weight_and_bias(f"{attention}.output", (dim, inner), 0)
        yield from layer.weight_and_bias("feed_forward.up", (config.width, dim), 0)
        yield from layer.weight_and_bias("feed_forward.down", (dim, config.width), 0)
        for norm in ("attention_norm", "cross_attention_norm", "feed_forward_norm"):
            yield from layer.norm(norm, dim)

    def _heads(self, config: LayerConfig) -> int:
        return self.num_heads if config.heads is None else config.heads

    def _head_dim(self, dim: int) -> int:
        if self.head_dim is None and dim % self.num_heads:
            raise ValueError(
                f"A decoder requires an encoder whose dimension is a multiple of its number of heads; found dim={dim} "
                f"and num_heads={self.num_heads}. Change one of them."
            )
        return self.head_dim or dim // self.num_heads
