"""Self-attention without positions of its own, as Transformer encoders have it; WavLM's gates on top."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from allinone.layers.attention import Context
from allinone.layers.axes import Axis, head_axes, inside
from allinone.layers.dropout import Dropout
from allinone.layers.linear import Linear

GATE_UNITS = 8


class RelativeGate(nn.Module):
    """How much each head heeds distances, by what it hears (WavLM, Chen et al. 2022, Eq. 4 to 6).

    A head's gate hears the channels of the frame that bear the head's number in the original network, and its biases
    are those of that number, which all layers share: it is remembered when a layer's heads are sorted.

    Args:
        num_heads: attention heads.
        head_dim: channels that each gate hears.
    """

    def __init__(self, num_heads: int, head_dim: int) -> None:
        super().__init__()
        self.linear = Linear(head_dim, GATE_UNITS)
        self.constant = nn.Parameter(torch.ones(num_heads))
        self.numbers = nn.Parameter(torch.arange(num_heads, dtype=torch.float32), requires_grad=False)
        self.axes: Mapping[str, Axis] = {"constant": Axis(0, "heads"), "numbers": Axis(0, "heads")}

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, time, dim)`` to factors of the bias ``(batch, heads, time, 1)``."""
        heard = x.unflatten(-1, (-1, self.linear.in_features))[:, :, self.numbers.long()].transpose(1, 2)
        update, reset = self.linear(heard).unflatten(-1, (2, -1)).sum(-1).sigmoid().split(1, dim=-1)
        return update * (reset * self.constant[:, None, None] - 1) + 2


class SelfAttention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2.2).

    Args:
        dim: model dimension.
        num_heads: number of heads.
        head_dim: of each head.
        dropout: probability, after the output.
        key_bias: whether keys have a bias; without effect on what is computed, but Whisper has none.
        gated: whether heads hear of distances, through a gate: the context's positions are a
            :class:`allinone.layers.positions.RelativeBias` then.
    """

    def __init__(
        self, dim: int, num_heads: int, head_dim: int, dropout: float, key_bias: bool = True, gated: bool = False
    ) -> None:
        super().__init__()
        self.head_dim = head_dim
        inner = num_heads * head_dim
        self.query, self.key, self.value = Linear(dim, inner), Linear(dim, inner, key_bias), Linear(dim, inner)
        self.output = Linear(inner, dim)
        self.gate = RelativeGate(num_heads, head_dim) if gated else None
        self.dropout = Dropout(dropout)
        gate = {} if self.gate is None else inside("gate", self.gate.axes)
        self.axes: Mapping[str, Axis] = head_axes(head_dim, key_bias) | gate

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """``(batch, time, dim)`` to the same."""
        query = self._heads(self.query(x))
        mask = ~context.padding[:, None, None, :]
        if self.gate is not None:
            bias = self.gate(x) * context.positions[self.gate.numbers.long()]
            mask = bias.masked_fill(~mask, -torch.inf)
        attended = functional.scaled_dot_product_attention(
            query, self._heads(self.key(x)), self._heads(self.value(x)), attn_mask=mask
        )
        return self.dropout(self.output(attended.transpose(1, 2).flatten(2)), context.dropout)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
