"""Dropout that is cheap on a CPU, where drawing a number for each activation takes a quarter of a training step."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

_LEVELS = 2**16


def as_tensors(factors: Iterable[float], device: torch.device) -> list[Tensor]:
    """Factors of dropout probabilities that vary: as numbers, each would make compiled code be compiled anew.

    They are filled in where they are needed. To read one, or to copy one there, would be waiting for the device.
    """
    return [torch.full((), factor, device=device) for factor in factors]


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

    def forward(self, x: Tensor, factor: float | Tensor = 1.0) -> Tensor:
        """Any shape to the same.

        Args:
            x: activations.
            factor: of the probability, 0 to 1; one that varies as :func:`as_tensors` gives it.
        """
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            probability = self.p * factor
            return on_device(x, probability) if isinstance(probability, Tensor) else functional.dropout(x, probability)
        draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)  # pyright: ignore[reportArgumentType]
        dropped = (self.p * torch.as_tensor(factor, dtype=torch.float64) * _LEVELS).round()
        least = (dropped - _LEVELS // 2).to(torch.int16)
        kept = draws.view(torch.int16)[: x.numel()].view(x.shape) >= least
        return x * (kept * (_LEVELS / (_LEVELS - dropped)).float())

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"


def on_device(x: Tensor, p: Tensor) -> Tensor:
    """Dropout with a probability that stays where it is: torch's own takes a number, and reading is waiting."""
    dropped = torch.rand_like(x, dtype=torch.float32) < p
    return (x / (1 - p)).masked_fill(dropped, 0)
