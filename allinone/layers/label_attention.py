"""Attention of a decoder, whose keys and values can be kept from label to label."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from allinone.layers.axes import Axis, head_axes
from allinone.layers.dropout import Dropout
from allinone.layers.linear import Linear


class KeysValues(NamedTuple):
    """What is attended to, each ``(batch, heads, positions, head_dim)``."""

    keys: Tensor
    values: Tensor

    def after(self, past: "KeysValues | None") -> "KeysValues":
        """Those of earlier positions, then these."""
        if past is None:
            return self
        return KeysValues(torch.cat((past.keys, self.keys), 2), torch.cat((past.values, self.values), 2))


class LabelAttention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017, section 3.2.2) of labels, to labels or to frames.

    Args:
        dim: model dimension.
        num_heads: number of heads.
        head_dim: of each head.
        dropout: probability, after the output.
        key_bias: whether keys have a bias.

    Attributes:
        axes: which dimensions of its parameters have heads.
    """

    def __init__(self, dim: int, num_heads: int, head_dim: int, dropout: float, key_bias: bool = True) -> None:
        super().__init__()
        self.head_dim = head_dim
        inner = num_heads * head_dim
        self.query, self.key, self.value = Linear(dim, inner), Linear(dim, inner, key_bias), Linear(dim, inner)
        self.output = Linear(inner, dim)
        self.dropout = Dropout(dropout)
        self.axes: Mapping[str, Axis] = head_axes(head_dim, key_bias)

    def keys_values(self, x: Tensor) -> KeysValues:
        """Of ``(batch, positions, dim)``."""
        return KeysValues(self._heads(self.key(x)), self._heads(self.value(x)))

    def forward(
        self,
        x: Tensor,
        memory: KeysValues,
        valid: Tensor | None = None,
        causal: bool = False,
        dropout: float | Tensor = 1.0,
    ) -> Tensor:
        """``(batch, labels, dim)`` to the same.

        Args:
            x: the labels.
            memory: :meth:`keys_values` of what they attend to.
            valid: ``(batch, 1, 1, positions)``, False at padding; None attends to all.
            causal: whether the memory is that of the labels themselves, none of which may see a later one.
            dropout: factor of the probability.
        """
        attended = functional.scaled_dot_product_attention(
            self._heads(self.query(x)), *memory, attn_mask=valid, is_causal=causal
        )
        return self.dropout(self.output(attended.transpose(1, 2).flatten(2)), dropout)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
