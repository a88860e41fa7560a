"""A member of unequal layers as one of equal layers: zeros stand where it has no units or heads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from allinone.layers.axes import Axis
from allinone.models import DecoderLayout, TransformerLayout
from allinone.models.decoder import DecoderLayer
from allinone.models.encoder import EncoderLayer
from allinone.subnet import LayerConfig, SubnetConfig

_NUMBERS = "attention.gate.numbers"


def pad_to_uniform(
    layout: TransformerLayout, subnet: SubnetConfig, weights: Mapping[str, Tensor]
) -> tuple[TransformerLayout, dict[str, Tensor]]:
    """The smallest layout of equal layers with all heads that holds a member, and the member's weights in it.

    What is added is zero and changes no output. Heads that bear numbers (WavLM's) return to where these say.

    Args:
        layout: of the supernet's encoder.
        subnet: the member.
        weights: of its encoder, under the names of :meth:`allinone.models.TransformerLayout.build`.
    """
    width = max(layer.width for layer in subnet.layers)
    whole = replace(layout, num_layers=subnet.depth, ffn_dim=width)
    with torch.device("meta"):
        encoder = whole.build(SubnetConfig.uniform(subnet.depth, width))
    return whole, _pad_layers(encoder.layers, subnet.layers, whole, weights)


def pad_decoder_to_uniform(
    layout: DecoderLayout, layers: Sequence[LayerConfig], weights: Mapping[str, Tensor]
) -> tuple[DecoderLayout, dict[str, Tensor]]:
    """The same of an attention decoder, in both attentions of each layer.

    Args:
        layout: of the supernet's decoder.
        layers: of the member's.
        weights: of it, under the names of :meth:`allinone.models.DecoderLayout.build`.
    """
    whole = replace(layout, num_layers=len(layers), ffn_dim=max(layer.width for layer in layers))
    vocab_size, dim = weights["embedding.labels.weight"].shape
    with torch.device("meta"):
        decoder = whole.build(whole.whole, dim, vocab_size)
    return whole, _pad_layers(decoder.layers, layers, whole, weights)


def _pad_layers(
    modules: Iterable[nn.Module],
    configs: Sequence[LayerConfig],
    whole: TransformerLayout | DecoderLayout,
    weights: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """The weights of all layers at the places that they have in the layers of a whole layout."""
    padded = dict(weights)
    for index, (module, config) in enumerate(zip(modules, configs, strict=True)):
        prefix = f"layers.{index}."
        heads = _heads(whole.num_heads, config, weights.get(prefix + _NUMBERS))
        places = {"width": torch.arange(config.width), "heads": heads}
        for name, axis in cast(EncoderLayer | DecoderLayer, module).axes.items():
            size = whole.ffn_dim if axis.of == "width" else whole.num_heads
            padded[prefix + name] = _place(weights[prefix + name], axis, places[axis.of], size)
        if prefix + _NUMBERS in padded:
            padded[prefix + _NUMBERS] = torch.arange(whole.num_heads, dtype=torch.float32)
    return padded


def _heads(all_heads: int, config: LayerConfig, numbers: Tensor | None) -> Tensor:
    """Where the heads of a layer stand among all."""
    if numbers is not None:
        return numbers.long()
    return torch.arange(all_heads if config.heads is None else config.heads)


def _place(weight: Tensor, axis: Axis, places: Tensor, size: int) -> Tensor:
    """The units or heads of a weight at their places among so many."""
    shape = list(weight.shape)
    shape[axis.dim] = size * axis.each
    entries = (places[:, None] * axis.each + torch.arange(axis.each)).flatten()
    return weight.new_zeros(shape).index_copy_(axis.dim, entries, weight)
