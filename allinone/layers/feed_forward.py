"""The feed-forward module of a Transformer layer."""

from types import MappingProxyType
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from allinone.layers.axes import Axis
from allinone.layers.dropout import Dropout
from allinone.layers.linear import Linear


class FeedForward(nn.Module):
    """Widen, activate, narrow.

    Args:
        dim: model dimension.
        width: hidden units.
        dropout: probability, after the hidden units and after the output.
        activation: of the hidden units: ``silu`` as in the Conformer, ``gelu`` as in most Transformers.
    """

    axes = MappingProxyType({"up.weight": Axis(0), "up.bias": Axis(0), "down.weight": Axis(1)})

    def __init__(self, dim: int, width: int, dropout: float, activation: Literal["silu", "gelu"] = "silu") -> None:
        super().__init__()
        self.activation = {"silu": functional.silu, "gelu": functional.gelu}[activation]
        self.up = Linear(dim, width)
        self.down = Linear(width, dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, dropout: float | Tensor = 1.0) -> Tensor:
        """``(batch, time, dim)`` to the same; ``dropout`` is a factor of the probability."""
        return self.dropout(self.down(self.dropout(self.activation(self.up(x)), dropout)), dropout)
