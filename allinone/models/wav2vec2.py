"""The layout of wav2vec 2.0 (Baevski et al. 2020): its tensors, for sizes and search spaces."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from allinone.models.inventory import Inventory
from allinone.subnet import FULL_PRECISION, Cost, LayerConfig, SubnetConfig, TensorSpec

_CONVOLUTIONS = ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2))  # (kernel, stride)
_SAMPLES = 160_000  # of 10 s


@dataclass(frozen=True)
class Wav2Vec2Layout:
    """The sizes of a wav2vec 2.0 network with a CTC head, under the names of its published checkpoints.

    The sizes of All-in-one's Table 4 count the linear weights and the attention biases of the Transformer layers at the
    member's precision, and everything else, head included, at 32 bits.

    Args:
        num_layers: Transformer layers of the largest network.
        dim: model dimension.
        ffn_dim: feed-forward width of the largest network.
        num_heads: attention heads of the largest network; divides ``dim``.
        channels: of the convolutional feature extractor.
        position_kernel: frames under the convolution that gives positions.
        position_groups: its groups.
        vocab_size: outputs of the head.
    """

    has_head: ClassVar[bool] = True

    num_layers: int
    dim: int
    ffn_dim: int
    num_heads: int = 12
    channels: int = 512
    position_kernel: int = 128
    position_groups: int = 16
    vocab_size: int = 32
    front_end_bits: int | None = FULL_PRECISION
    bands: int = 1

    def build(self, subnet: SubnetConfig) -> None:
        """Refused: this layout has no code yet."""
        raise ValueError(
            "Training needs a network whose code exists: the Conformer (network=conformer_small and its kin); found "
            "the wav2vec 2.0 layout, which so far serves to count sizes. Use `allinone subnets` with it, or train a "
            "Conformer."
        )

    def frames(self, feature_frames: int) -> int:
        """Encoder frames of so many samples (this network's features are samples)."""
        for kernel, stride in _CONVOLUTIONS:
            feature_frames = (feature_frames - kernel) // stride + 1
        return max(0, feature_frames)

    def products(self, subnet: SubnetConfig) -> Cost:
        """Queries with keys, attention with values."""
        frames = self.frames(_SAMPLES)
        return Cost(macs=2 * frames * frames * sum(map(self._heads_dim, subnet.layers)) / 10)

    def tensors(self, subnet: SubnetConfig) -> Iterator[TensorSpec]:
        """All tensors of a member, head included."""
        dim, channels, frames = self.dim, self.channels, self.frames(_SAMPLES)
        full = Inventory("wav2vec2", FULL_PRECISION)
        size, inputs = _SAMPLES, 1
        for index, (kernel, stride) in enumerate(_CONVOLUTIONS):
            size = (size - kernel) // stride + 1
            name = f"feature_extractor.conv_layers.{index}"
            yield full.tensor(f"{name}.conv.weight", (channels, inputs, kernel), size)
            if index == 0:
                yield from full.norm(f"{name}.layer_norm", channels)
            inputs = channels
        yield from full.norm("feature_projection.layer_norm", channels)
        yield from full.weight_and_bias("feature_projection.projection", (dim, channels), frames)
        yield full.tensor("masked_spec_embed", (dim,))
        positions = "encoder.pos_conv_embed.conv"
        yield full.tensor(f"{positions}.weight_g", (1, 1, self.position_kernel))
        yield full.tensor(f"{positions}.weight_v", (dim, dim // self.position_groups, self.position_kernel), frames)
        yield full.tensor(f"{positions}.bias", (dim,))
        yield from full.norm("encoder.layer_norm", dim)
        for index, layer in enumerate(subnet.layers):
            yield from self._layer(f"wav2vec2.encoder.layers.{index}", layer)
        yield from Inventory("lm_head", FULL_PRECISION).weight_and_bias("", (self.vocab_size, dim), frames)

    def _heads_dim(self, config: LayerConfig) -> int:
        """Dimension of all heads of a layer together."""
        return self.dim if config.heads is None else config.heads * (self.dim // self.num_heads)

    def _layer(self, name: str, config: LayerConfig) -> Iterator[TensorSpec]:
        dim, frames, layer = self.dim, self.frames(_SAMPLES), Inventory(name, config.bits)
        heads_dim, width = self._heads_dim(config), config.width
        for projection in ("q_proj", "k_proj", "v_proj"):
            yield from layer.weight_and_bias(f"attention.{projection}", (heads_dim, dim), frames)
        yield from layer.weight_and_bias("attention.out_proj", (dim, heads_dim), frames)
        rest = (
            *layer.norm("layer_norm", dim),
            *layer.weight_and_bias("feed_forward.intermediate_dense", (width, dim), frames),
            *layer.weight_and_bias("feed_forward.output_dense", (dim, width), frames),
            *layer.norm("final_layer_norm", dim),
        )
        for spec in rest:
            yield replace(spec, paper_bits=spec.bits)


def wav2vec2_base() -> Wav2Vec2Layout:
    """wav2vec 2.0 base with a CTC head: 94.4 M parameters."""
    return Wav2Vec2Layout(num_layers=12, dim=768, ffn_dim=3072)
