"""Self-attention with relative or rotary positions."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from allinone.layers.axes import Axis, head_axes
from allinone.layers.dropout import Dropout
from allinone.layers.lengths import padding_mask
from allinone.layers.linear import Linear


class Context(NamedTuple):
    """What the layers of a network share for one batch.

    Args:
        padding: ``(batch, time)``, True at padding.
        positions: what :func:`relative_positions` or :func:`rotary_positions` gives for this length.
        dropout: factor of dropout probabilities, as :class:`allinone.layers.dropout.Dropout` takes it.
    """

    padding: Tensor
    positions: Tensor
    dropout: float | Tensor = 1.0


def relative_positions(time: int, dim: int, like: Tensor) -> Tensor:
    """Sinusoidal encodings of the distances time - 1 down to -(time - 1), ``(2 * time - 1, dim)``.

    Sines stand at even and cosines at odd places (Transformer-XL, Dai et al. 2019, Appendix B).
    """
    distances = torch.arange(time - 1, -time, -1.0, device=like.device)
    rates = torch.exp(torch.arange(0, dim, 2, device=like.device) * (-math.log(10_000.0) / dim))
    angles = distances[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1).to(like.dtype)


def rotary_positions(time: int, head_dim: int, like: Tensor) -> Tensor:
    """Cosines and sines of the rotary embedding (Su et al. 2021, Eq. 34), ``(2, time, head_dim)``."""
    rates = 10_000.0 ** (-torch.arange(0, head_dim, 2, device=like.device) / head_dim)
    angles = torch.arange(time, device=like.device)[:, None] * rates.repeat(2)
    return torch.stack((angles.cos(), angles.sin())).to(like.dtype)


class RelativeSelfAttention(nn.Module):
    """Multi-head self-attention with relative positions (Transformer-XL, Dai et al. 2019, Eq. 4 of section 3.3).

    Args:
        dim: model dimension.
        num_heads: number of heads.
        dropout: probability, after the output.
        head_dim: dimension of each head; ``dim`` divided by ``num_heads`` unless given.

    Attributes:
        axes: which dimensions of its parameters have heads.
    """

    def __init__(self, dim: int, num_heads: int, dropout: float, head_dim: int | None = None) -> None:
        super().__init__()
        self.head_dim = dim // num_heads if head_dim is None else head_dim
        inner = num_heads * self.head_dim
        self.query, self.key, self.value = Linear(dim, inner), Linear(dim, inner), Linear(dim, inner)
        self.output = Linear(inner, dim)
        self.position = Linear(dim, inner, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(inner))
        self.position_bias = nn.Parameter(torch.zeros(inner))
        self.dropout = Dropout(dropout)
        positions = ("position.weight", "content_bias", "position_bias")
        self.axes = head_axes(self.head_dim) | dict.fromkeys(positions, Axis(0, "heads", self.head_dim))

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """``(batch, time, dim)`` to the same."""
        query = self.query(x)
        heads = self._heads
        by_position = heads(query + self.position_bias) @ heads(self.position(context.positions)[None]).mT
        scores = _shift(by_position) / math.sqrt(self.head_dim)
        scores = scores.masked_fill(context.padding[:, None, None, :], -torch.inf)
        attended = functional.scaled_dot_product_attention(
            heads(query + self.content_bias),
            heads(self.key(x)),
            heads(self.value(x)),
            attn_mask=scores,
        )
        return self.dropout(self.output(attended.transpose(1, 2).flatten(2)), context.dropout)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

    def context(self, x: Tensor, lengths: Tensor) -> Context:
        """What all layers share for a batch of this shape."""
        time, dim = x.shape[1:]
        return Context(padding_mask(lengths, time), relative_positions(time, dim, x))


class RotarySelfAttention(nn.Module):
    """Multi-head self-attention with rotary positions (Su et al. 2021): fewer weights and products than relative ones.

    Args:
        dim: model dimension.
        num_heads: number of heads.
        dropout: probability, after the output.
        head_dim: dimension of each head; even; ``dim`` divided by ``num_heads`` unless given.

    Attributes:
        axes: which dimensions of its parameters have heads.
    """

    def __init__(self, dim: int, num_heads: int, dropout: float, head_dim: int | None = None) -> None:
        super().__init__()
        self.head_dim = dim // num_heads if head_dim is None else head_dim
        inner = num_heads * self.head_dim
        self.query, self.key, self.value = Linear(dim, inner), Linear(dim, inner), Linear(dim, inner)
        self.output = Linear(inner, dim)
        self.dropout = Dropout(dropout)
        self.axes = head_axes(self.head_dim)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """``(batch, time, dim)`` to the same."""
        attended = functional.scaled_dot_product_attention(
            _rotate(self._heads(self.query(x)), context.positions),
            _rotate(self._heads(self.key(x)), context.positions),
            self._heads(self.value(x)),
            attn_mask=~context.padding[:, None, None, :],
        )
        return self.dropout(self.output(attended.transpose(1, 2).flatten(2)), context.dropout)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

    def context(self, x: Tensor, lengths: Tensor) -> Context:
        """What all layers share for a batch of this shape."""
        time = x.shape[1]
        return Context(padding_mask(lengths, time), rotary_positions(time, self.head_dim, x))


def _shift(by_distance: Tensor) -> Tensor:
    """Scores by distance ``(batch, heads, time, 2 * time - 1)`` to scores by key ``(batch, heads, time, time)``."""
    batch, heads, time, distances = by_distance.shape
    padded = functional.pad(by_distance, (1, 0)).view(batch, heads, distances + 1, time)
    return padded[:, :, 1:].view(batch, heads, time, distances)[..., :time]


def _rotate(x: Tensor, positions: Tensor) -> Tensor:
    cosines, sines = positions
    first, second = x.chunk(2, dim=-1)
    return x * cosines + torch.cat((-second, first), dim=-1) * sines
