"""Batch normalisation over the valid frames of a padded batch."""

import torch
from torch import Tensor, nn


class MaskedBatchNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy 2015, Algorithm 1) over batch and time; padding counts for nothing.

    In training it takes the mean and the (biased) variance of the batch, of this process alone where there are several,
    and tracks nothing: averages over the steps of a supernet would be averages over its members, and fit none of them
    (Slimmable networks, Yu et al. 2019). In evaluation it takes the buffers, which have to be set from data first.

    Args:
        dim: channels.
        eps: added to the variance.

    Attributes:
        mean: of each channel over all valid frames, ``(dim,)``.
        variance: the same.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("variance", torch.ones(dim))

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        """``(batch, time, dim)`` and ``(batch, time)``, True at padding, to ``(batch, time, dim)`` in float32."""
        x = x.float()  # sums over a batch are too long for half precision
        mean, variance = _moments(x, padding) if self.training else (self.mean, self.variance)
        return (x - mean) * (self.weight * (variance + self.eps).rsqrt()) + self.bias


def _moments(x: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel over the valid frames, ``(dim,)`` each."""
    padding = padding[..., None]
    frames = (~padding).sum().clamp(min=1)
    mean = x.masked_fill(padding, 0).sum((0, 1)) / frames
    return mean, (x - mean).masked_fill(padding, 0).square().sum((0, 1)) / frames
