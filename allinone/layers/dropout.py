"""Dropout that is cheap on a CPU, where drawing a number for each activation takes a quarter of a training step."""

import torch
from torch import Tensor, nn
from torch.nn import functional

_LEVELS = 2**16


class Dropout(nn.Module):
    """Zeroes activations with a probability and scales up the rest, in training (Srivastava et al. 2014).

    On a CPU one 64-bit draw decides on four activations, each with a probability rounded to 1 / 65,536.

    Args:
        p: probability, from 0 to below 1.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"Dropout requires a probability from 0 to below 1; found {p}. Give such a number.")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return functional.dropout(x, self.p)
        draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)  # pyright: ignore[reportArgumentType]
        dropped = round(self.p * _LEVELS)
        kept = draws.view(torch.int16)[: x.numel()].view(x.shape) >= dropped - _LEVELS // 2
        return x * (kept * (_LEVELS / (_LEVELS - dropped)))

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"
