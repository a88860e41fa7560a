"""The Conformer (Gulati et al. 2020): its layer, and its layout as a value."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from allinone.layers import (
    Context,
    Conv2dSubsampling,
    ConvolutionModule,
    FeedForward,
    RelativeSelfAttention,
    RotarySelfAttention,
)
from allinone.layers.axes import Axis, inside
from allinone.models.encoder import Encoder
from allinone.models.inventory import FEATURE_FRAMES, Inventory, check_front_end_bits
from allinone.subnet import Cost, LayerConfig, SubnetConfig, TensorSpec


class ConformerLayer(nn.Module):
    """Half a feed-forward module, self-attention, convolution, the other half, and a norm (Conformer, Eq. 1).

    Args:
        dim: model dimension.
        width: hidden units of both feed-forward modules.
        attention: the self-attention module.
        kernel_size: frames under the convolution.
        dropout: probability.
        convolution_norm: the norm inside the convolution module: ``layer`` or ``batch``.
    """

    def __init__(
        self,
        dim: int,
        width: int,
        attention: RelativeSelfAttention | RotarySelfAttention,
        kernel_size: int,
        dropout: float,
        convolution_norm: Literal["layer", "batch"] = "layer",
    ) -> None:
        super().__init__()
        self.feed_forward_1 = FeedForward(dim, width, dropout)
        self.attention = attention
        self.convolution = ConvolutionModule(dim, kernel_size, dropout, convolution_norm)
        self.feed_forward_2 = FeedForward(dim, width, dropout)
        self.feed_forward_1_norm = nn.LayerNorm(dim)
        self.attention_norm = nn.LayerNorm(dim)
        self.convolution_norm = nn.LayerNorm(dim)
        self.feed_forward_2_norm = nn.LayerNorm(dim)
        self.final_norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """``(batch, time, dim)`` to the same."""
        x = x + 0.5 * self.feed_forward_1(self.feed_forward_1_norm(x), context.dropout)
        x = x + self.attention(self.attention_norm(x), context)
        x = x + self.convolution(self.convolution_norm(x), context.padding, context.dropout)
        x = x + 0.5 * self.feed_forward_2(self.feed_forward_2_norm(x), context.dropout)
        return self.final_norm(x)

    def context(self, x: Tensor, lengths: Tensor) -> Context:
        """What all layers share for a batch of this shape."""
        return self.attention.context(x, lengths)

    @property
    def axes(self) -> Mapping[str, Axis]:
        """For each parameter of which a smaller member has only a part, along which dimension."""
        return {
            **inside("feed_forward_1", self.feed_forward_1.axes),
            **inside("attention", self.attention.axes),
            **inside("feed_forward_2", self.feed_forward_2.axes),
        }


@dataclass(frozen=True)
class ConformerLayout:
    """The sizes of a Conformer encoder.

    Args:
        num_layers: layers of the largest network.
        dim: model dimension.
        ffn_dim: feed-forward width of the largest network.
        num_heads: attention heads of the largest network.
        kernel_size: frames under the depthwise convolution.
        subsampling_channels: channels of the convolutional subsampling.
        separable_subsampling: whether its second convolution is depthwise-separable.
        positions: relative (as the paper) or rotary.
        front_end_bits: precision of the subsampling; None means that of the member.
        dropout: probability in training.
        bands: feature bands.
        convolution_norm: the norm inside the convolution module: ``layer``, or ``batch`` as in the paper, whose
            statistics are each member's own.
        head_dim: dimension of each attention head; None means the model dimension divided by the number of heads.
    """

    counts_head: ClassVar[bool] = False
    own_output: ClassVar[bool] = False

    num_layers: int
    dim: int
    ffn_dim: int
    num_heads: int
    kernel_size: int
    subsampling_channels: int
    separable_subsampling: bool
    positions: Literal["relative", "rotary"]
    front_end_bits: int | None
    dropout: float = 0.1
    bands: int = 80
    convolution_norm: Literal["layer", "batch"] = "layer"
    head_dim: int | None = None

    def __post_init__(self) -> None:
        if self.num_heads < 1:
            raise ValueError(
                f"A Conformer needs at least 1 attention head; found num_heads={self.num_heads}. Give more of them."
            )
        if self.head_dim is None and (self.dim % self.num_heads or self.head_size % 2):
            raise ValueError(
                f"The model dimension must be an even multiple of the number of heads; found dim={self.dim} and "
                f"num_heads={self.num_heads}. Change one of them, or give a head_dim."
            )
        if self.dim % 2 or self.head_size < 2 or self.head_size % 2:
            raise ValueError(
                "The dimensions of the model and of a head must be positive and even, because positions are pairs; "
                f"found dim={self.dim} and head_dim={self.head_dim}. Give even numbers."
            )
        check_front_end_bits(self.front_end_bits)
        if self.kernel_size % 2 == 0:
            raise ValueError(f"The kernel size must be odd; found {self.kernel_size}. Add or take one.")
        if self.positions not in ("relative", "rotary"):
            raise ValueError(f"Positions are 'relative' or 'rotary'; found {self.positions!r}. Choose one of the two.")
        if self.convolution_norm not in ("layer", "batch"):
            raise ValueError(
                f"The norm inside the convolution module is 'layer' or 'batch'; found {self.convolution_norm!r}. "
                "Choose one of the two."
            )

    @property
    def head_size(self) -> int:
        """Dimension of each attention head."""
        return self.dim // self.num_heads if self.head_dim is None else self.head_dim

    @property
    def ten_seconds(self) -> int:
        """Feature frames of 10 s."""
        return FEATURE_FRAMES

    def build(self, subnet: SubnetConfig) -> Encoder:
        """An ordinary encoder with the depth, widths and heads of a member; its precision is that of its weights."""
        attention = RelativeSelfAttention if self.positions == "relative" else RotarySelfAttention
        return Encoder(
            Conv2dSubsampling(
                self.bands, self.subsampling_channels, self.dim, self.separable_subsampling, self.dropout
            ),
            (
                ConformerLayer(
                    self.dim,
                    layer.width,
                    attention(self.dim, self._heads(layer), self.dropout, self.head_size),
                    self.kernel_size,
                    self.dropout,
                    self.convolution_norm,
                )
                for layer in subnet.layers
            ),
        )

    def frames(self, feature_frames: int) -> int:
        """Encoder frames of so many feature frames."""
        return Conv2dSubsampling.frames(feature_frames)

    def tensors(self, subnet: SubnetConfig) -> Iterator[TensorSpec]:
        """All tensors of a member's encoder, as :meth:`build` names them."""
        yield from self._front_end(Inventory.beside("front_end", subnet.layers[0], self.front_end_bits))
        for index, layer in enumerate(subnet.layers):
            yield from self._layer(Inventory.layer(index, layer), layer)

    def products(self, subnet: SubnetConfig) -> Cost:
        """The products that involve no weights: queries with keys (and with positions), attention with values."""
        frames = self.frames(FEATURE_FRAMES)
        each = 2 * frames * frames
        if self.positions == "relative":
            each += frames * (2 * frames - 1)
        return Cost(macs=sum(map(self._heads, subnet.layers)) * self.head_size * each / 10)

    def _heads(self, config: LayerConfig) -> int:
        return self.num_heads if config.heads is None else config.heads

    def _front_end(self, front: Inventory) -> Iterator[TensorSpec]:
        channels, separable = self.subsampling_channels, self.separable_subsampling
        half, quarter = (FEATURE_FRAMES - 1) // 2, self.frames(FEATURE_FRAMES)
        half_bands, quarter_bands = (self.bands - 1) // 2, self.frames(self.bands)
        yield from front.weight_and_bias("first", (channels, 1, 3, 3), half * half_bands)
        yield from front.weight_and_bias(
            "second", (channels, 1 if separable else channels, 3, 3), quarter * quarter_bands
        )
        if separable:
            yield from front.weight_and_bias("mix", (channels, channels, 1, 1), quarter * quarter_bands)
        yield from front.weight_and_bias("linear", (self.dim, channels * quarter_bands), quarter)

    def _layer(self, layer: Inventory, config: LayerConfig) -> Iterator[TensorSpec]:
        dim, frames, inner = self.dim, self.frames(FEATURE_FRAMES), self._heads(config) * self.head_size
        for module in ("feed_forward_1", "feed_forward_2"):
            yield from layer.weight_and_bias(f"{module}.up", (config.width, dim), frames)
            yield from layer.weight_and_bias(f"{module}.down", (dim, config.width), frames)
            yield from layer.norm(f"{module}_norm", dim)
        for projection in ("query", "key", "value"):
            yield from layer.weight_and_bias(f"attention.{projection}", (inner, dim), frames)
        yield from layer.weight_and_bias("attention.output", (dim, inner), frames)
        if self.positions == "relative":
            yield layer.tensor("attention.position.weight", (inner, dim), 2 * frames - 1)
            yield layer.tensor("attention.content_bias", (inner,))
            yield layer.tensor("attention.position_bias", (inner,))
        yield from layer.weight_and_bias("convolution.expand", (2 * dim, dim), frames)
        yield from layer.weight_and_bias("convolution.depthwise", (dim, 1, self.kernel_size), frames)
        yield from layer.weight_and_bias("convolution.project", (dim, dim), frames)
        for norm in ("convolution.norm", "attention_norm", "convolution_norm", "final_norm"):
            yield from layer.norm(norm, dim)
        if self.convolution_norm == "batch":
            yield layer.tensor("convolution.norm.mean", (dim,))
            yield layer.tensor("convolution.norm.variance", (dim,))
