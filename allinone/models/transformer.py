"""Transformer encoders (wav2vec 2.0, HuBERT, WavLM, data2vec, Whisper): one layer, and its layout as a value."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor, nn

from allinone.layers import Context, FeedForward, padding_mask
from allinone.layers.axes import Axis, inside
from allinone.layers.positions import RelativeBias
from allinone.layers.self_attention import GATE_UNITS, SelfAttention
from allinone.models.encoder import Encoder
from allinone.models.front_ends import SpectrogramLayout, WaveformLayout
from allinone.models.inventory import Inventory, check_front_end_bits
from allinone.subnet import FULL_PRECISION, Cost, SubnetConfig, TensorSpec

FAMILIES = ("wav2vec2", "hubert", "wavlm", "data2vec-audio", "whisper")


class TransformerLayer(nn.Module):
    """Self-attention and a feed-forward module (Vaswani et al. 2017, section 3.1).

    Args:
        dim: model dimension.
        width: hidden units of the feed-forward module.
        attention: the self-attention module.
        norm_first: whether both begin with their norms (pre-norm) or end with them (post-norm).
        dropout: probability.
    """

    def __init__(self, dim: int, width: int, attention: SelfAttention, norm_first: bool, dropout: float) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.attention = attention
        self.feed_forward = FeedForward(dim, width, dropout, "gelu")
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.axes: Mapping[str, Axis] = inside("attention", attention.axes) | inside("feed_forward", FeedForward.axes)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """``(batch, time, dim)`` to the same."""
        if self.norm_first:
            x = x + self.attention(self.attention_norm(x), context)
            return x + self.feed_forward(self.feed_forward_norm(x), context.dropout)
        x = self.attention_norm(x + self.attention(x, context))
        return self.feed_forward_norm(x + self.feed_forward(x, context.dropout))

    def context(self, x: Tensor, lengths: Tensor) -> Context:
        """What all layers share for a batch of this shape, but for a relative bias."""
        return Context(padding_mask(lengths, x.shape[1]), x.new_empty(0))


@dataclass(frozen=True)
class TransformerLayout:
    """The sizes of a Transformer encoder.

    The sizes of All-in-one's Table 4 count the linear weights and the attention biases of the layers at the member's
    precision, and everything else, the CTC output included, at 32 bits.

    Args:
        num_layers: layers of the largest network.
        dim: model dimension.
        ffn_dim: feed-forward width of the largest network.
        num_heads: attention heads of the largest network.
        front_end: what is below the layers.
        family: whose published format it has, one of ``wav2vec2``, ``hubert``, ``wavlm``, ``data2vec-audio`` and
            ``whisper``.
        norm_first: whether layers begin with their norms, and one more stands behind the last.
        head_dim: of each head; None divides the model dimension among the heads.
        key_bias: whether keys have a bias.
        buckets: of distances, where heads hear of them (WavLM); None leaves that out.
        longest_distance: from which on all distances fall into the last bucket.
        dropout: probability in training.
        front_end_bits: precision of the front end; None means that of the member.
    """

    counts_head: ClassVar[bool] = True
    own_output: ClassVar[bool] = False

    num_layers: int
    dim: int
    ffn_dim: int
    num_heads: int
    front_end: WaveformLayout | SpectrogramLayout
    family: str
    norm_first: bool = False
    head_dim: int | None = None
    key_bias: bool = True
    buckets: int | None = None
    longest_distance: int = 800
    dropout: float = 0.1
    front_end_bits: int | None = FULL_PRECISION

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"A family is one of {', '.join(FAMILIES)}; found {self.family!r}. Choose one of these.")
        if self.head_dim is None and self.dim % self.num_heads:
            raise ValueError(
                "The model dimension must be a multiple of the number of heads unless head_dim is given; found "
                f"dim={self.dim} and num_heads={self.num_heads}. Change one of them."
            )
        if self.buckets is not None and self.buckets % 4:
            raise ValueError(f"The buckets of distances must be a multiple of 4; found {self.buckets}. Correct them.")
        check_front_end_bits(self.front_end_bits)

    @property
    def bands(self) -> int:
        """Feature bands that the front end takes."""
        return self.front_end.bands

    @property
    def ten_seconds(self) -> int:
        """Feature frames of 10 s."""
        return self.front_end.ten_seconds

    @property
    def head_size(self) -> int:
        """Channels of each head."""
        return self.head_dim or self.dim // self.num_heads

    def build(self, subnet: SubnetConfig) -> Encoder:
        """An ordinary encoder with the depth, widths and heads of a member; precision is a matter of its weights."""
        heads = [self.num_heads if layer.heads is None else layer.heads for layer in subnet.layers]
        return Encoder(
            self.front_end.build(self.dim, not self.norm_first, self.dropout),
            (
                TransformerLayer(
                    self.dim,
                    layer.width,
                    SelfAttention(
                        self.dim, count, self.head_size, self.dropout, self.key_bias, self.buckets is not None
                    ),
                    self.norm_first,
                    self.dropout,
                )
                for layer, count in zip(subnet.layers, heads, strict=True)
            ),
            distances=RelativeBias(self.num_heads, self.buckets, self.longest_distance) if self.buckets else None,
            final=nn.LayerNorm(self.dim) if self.norm_first else None,
        )

    def frames(self, feature_frames: int) -> int:
        """Encoder frames of so many feature frames (samples, where the front end takes raw audio)."""
        return self.front_end.frames(feature_frames)

    def products(self, subnet: SubnetConfig) -> Cost:
        """Queries with keys, attention with values."""
        frames = self.frames(self.ten_seconds)
        heads = sum(self.num_heads if layer.heads is None else layer.heads for layer in subnet.layers)
        return Cost(macs=heads * 2 * frames * frames * self.head_size / 10)

    def tensors(self, subnet: SubnetConfig) -> Iterator[TensorSpec]:
        """All tensors of a member's encoder, as :meth:`build` names them."""
        front = Inventory.beside("front_end", subnet.layers[0], self.front_end_bits)
        yield from self.front_end.tensors(front, self.dim, not self.norm_first)
        full = Inventory("", FULL_PRECISION)
        for index, layer in enumerate(subnet.layers):
            heads = self.num_heads if layer.heads is None else layer.heads
            yield from self._layer(Inventory.layer(index, layer), layer.width, heads)
        if self.buckets is not None:
            yield replace(full.tensor("", (self.buckets, self.num_heads)), name="distances.table")
        if self.norm_first:
            for spec in full.norm("final", self.dim):
                yield replace(spec, name=spec.name.removeprefix("."))

    def _layer(self, layer: Inventory, width: int, heads: int) -> Iterator[TensorSpec]:
        dim, frames, inner = self.dim, self.frames(self.ten_seconds), heads * self.head_size
        for projection in ("query", "value"):
            yield from layer.weight_and_bias(f"attention.{projection}", (inner, dim), frames)
        yield layer.tensor("attention.key.weight", (inner, dim), frames)
        if self.key_bias:
            yield layer.tensor("attention.key.bias", (inner,))
        yield from layer.weight_and_bias("attention.output", (dim, inner), frames)
        rest = [
            *layer.norm("attention_norm", dim),
            *layer.weight_and_bias("feed_forward.up", (width, dim), frames),
            *layer.weight_and_bias("feed_forward.down", (dim, width), frames),
            *layer.norm("feed_forward_norm", dim),
        ]
        if self.buckets is not None:
            rest += [
                *layer.weight_and_bias("attention.gate.linear", (GATE_UNITS, self.head_size), heads * frames),
                layer.tensor("attention.gate.constant", (heads,)),
                layer.tensor("attention.gate.numbers", (heads,)),
            ]
        for spec in rest:
            yield spec if len(spec.shape) > 1 else replace(spec, paper_bits=spec.bits)
