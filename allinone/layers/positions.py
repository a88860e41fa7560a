"""Where a frame stands: positions that are added to frames, and distances that attention hears of."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def sinusoids(time: int, dim: int, like: Tensor) -> Tensor:
    """Sines, then cosines, of places 0 to time - 1, ``(time, dim)`` (Whisper, Radford et al. 2022, section 2.2)."""
    rates = torch.exp(torch.arange(dim // 2, device=like.device) * (-math.log(10_000.0) / (dim // 2 - 1)))
    angles = torch.arange(time, device=like.device)[:, None] * rates
    return torch.cat((angles.sin(), angles.cos()), 1).to(like.dtype)


class ConvolutionalPositions(nn.Module):
    """A grouped convolution over the frames says where each stands (wav2vec 2.0, Baevski et al. 2020, section 2).

    Its weight is a direction of unit norm and a magnitude for each place under it (weight normalisation, Salimans &
    Kingma 2016).

    Args:
        dim: model dimension.
        kernel: frames under the convolution.
        groups: of the convolution; divides ``dim``.
    """

    def __init__(self, dim: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.kernel, self.groups = kernel, groups
        self.direction = nn.Parameter(torch.randn(dim, dim // groups, kernel) * math.sqrt(4 / (kernel * dim)))
        self.magnitude = nn.Parameter(self.direction.detach().norm(dim=(0, 1)))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        """``(batch, time, dim)`` and ``(batch, time)``, True at padding, to what is added, ``(batch, time, dim)``."""
        weight = torch._weight_norm(self.direction, self.magnitude[None, None], 2)
        return functional.gelu(_convolve(x, padding, weight, self.bias, self.groups))


class StackedPositions(nn.Module):
    """Several such convolutions, each with a norm without weights (data2vec, Baevski et al. 2022, section 3.3).

    Args:
        dim: model dimension.
        kernel: frames under each convolution.
        groups: of each convolution; divides ``dim``.
        depth: number of convolutions.
    """

    def __init__(self, dim: int, kernel: int, groups: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=groups) for _ in range(depth)
        )

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        """As :meth:`ConvolutionalPositions.forward`."""
        for layer in self.layers:
            assert isinstance(layer, nn.Conv1d)
            x = _convolve(x, padding, layer.weight, layer.bias, layer.groups)
            x = functional.gelu(functional.layer_norm(x, x.shape[-1:]))
        return x


def _convolve(x: Tensor, padding: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> Tensor:
    """A convolution that gives as many frames as it is given, and sees zeros at the padding."""
    kernel = weight.shape[2]
    x = x.masked_fill(padding[..., None], 0).transpose(1, 2)
    x = functional.conv1d(x, weight, bias, padding=kernel // 2, groups=groups)
    return (x[..., :-1] if kernel % 2 == 0 else x).transpose(1, 2)


class RelativeBias(nn.Module):
    """What each head thinks of a distance between two frames (T5, Raffel et al. 2020; WavLM, Chen et al. 2022, Eq. 7).

    Distances fall into buckets: one for each up to a quarter of their number, then ever wider ones, in both directions.

    Args:
        num_heads: attention heads.
        buckets: how many; a multiple of four.
        longest: distance, in frames, from which on all fall into the last bucket.
    """

    def __init__(self, num_heads: int, buckets: int, longest: int) -> None:
        super().__init__()
        self.buckets, self.longest = buckets, longest
        self.table = nn.Parameter(torch.randn(buckets, num_heads))

    def forward(self, time: int) -> Tensor:
        """``(heads, time, time)``: of each frame to each other."""
        places = torch.arange(time, device=self.table.device)
        return self.table[self._bucket(places - places[:, None])].permute(2, 0, 1)

    def _bucket(self, distances: Tensor) -> Tensor:
        half, exact = self.buckets // 2, self.buckets // 4
        far = distances.abs()
        wide = (far.clamp(min=1).float() / exact).log() / math.log(self.longest / exact) * (half - exact)
        wide = (exact + wide).long().clamp(max=half - 1)
        return (distances > 0) * half + torch.where(far < exact, far, wide)
