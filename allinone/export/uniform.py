"""A member of unequal layers as one of equal layers: zeros stand where it has no units or heads."""

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from allinone.layers.axes import Axis
from allinone.models import TransformerLayout
from allinone.models.encoder import EncoderLayer
from allinone.subnet import SubnetConfig

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
    padded = dict(weights)
    for index, layer in enumerate(encoder.layers):
        prefix = f"layers.{index}."
        heads = _heads(layout, subnet, index, weights.get(prefix + _NUMBERS))
        places = {"width": torch.arange(subnet.layers[index].width), "heads": heads}
        for name, axis in cast(EncoderLayer, layer).axes.items():
            size = width if axis.of == "width" else layout.num_heads
            padded[prefix + name] = _place(weights[prefix + name], axis, places[axis.of], size)
        if prefix + _NUMBERS in padded:
            padded[prefix + _NUMBERS] = torch.arange(layout.num_heads, dtype=torch.float32)
    return whole, padded


def _heads(layout: TransformerLayout, subnet: SubnetConfig, index: int, numbers: Tensor | None) -> Tensor:
    """Where the heads of a layer stand among all."""
    if numbers is not None:
        return numbers.long()
    heads = subnet.layers[index].heads
    return torch.arange(layout.num_heads if heads is None else heads)


def _place(weight: Tensor, axis: Axis, places: Tensor, size: int) -> Tensor:
    """The units or heads of a weight at their places among so many."""
    shape = list(weight.shape)
    shape[axis.dim] = size * axis.each
    entries = (places[:, None] * axis.each + torch.arange(axis.each)).flatten()
    return weight.new_zeros(shape).index_copy_(axis.dim, entries, weight)
