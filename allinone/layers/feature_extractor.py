"""The convolutional feature extractor of the wav2vec 2.0 family: frames out of raw audio."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from allinone.layers.lengths import padding_mask


def convolved(size: int, kernel: int, stride: int) -> int:
    """Places of an unpadded convolution over so many frames."""
    return max(0, (size - kernel) // stride + 1)


class UtteranceNorm(nn.Module):
    """Normalises each channel over the frames of an utterance: a group norm with one channel a group (Wu & He 2018).

    Padding counts for nothing, so that the frames of an utterance do not depend on its batch.

    Args:
        channels: how many there are.
        eps: added to the variance.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """``(batch, channels, time)`` and valid frames ``(batch,)`` to the same shape, in float32."""
        x = x.float()  # sums over thousands of frames are too long for half precision
        valid = (~padding_mask(lengths, x.shape[2])).to(x.dtype)[:, None]
        frames = lengths.clamp(min=1)[:, None, None]
        x = (x - torch.linalg.vecdot(x, valid)[..., None] / frames) * valid
        variance = torch.linalg.vecdot(x, x)[..., None] / frames
        return torch.addcmul(self.bias[:, None], x, self.weight[:, None] * (variance + self.eps).rsqrt())


class FeatureConvolution(nn.Module):
    """Convolution, norm, GELU.

    Args:
        inputs: channels before.
        channels: channels after.
        kernel: frames under the convolution.
        stride: frames from one place to the next.
        bias: whether the convolution has one.
        norm: ``group`` (each channel over the utterance), ``layer`` (each frame over its channels) or None.
    """

    def __init__(
        self, inputs: int, channels: int, kernel: int, stride: int, bias: bool, norm: Literal["group", "layer"] | None
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(inputs, channels, kernel, stride, bias=bias)
        norms = {"group": UtteranceNorm, "layer": nn.LayerNorm}
        self.norm = norms[norm](channels) if norm else None

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``(batch, inputs, time)`` and valid frames to ``(batch, channels, places)`` and valid places."""
        (kernel,), (stride,) = self.convolution.kernel_size, self.convolution.stride
        x = self.convolution(x)
        lengths = (torch.div(lengths - kernel, stride, rounding_mode="floor") + 1).clamp(min=0)
        if isinstance(self.norm, UtteranceNorm):
            x = self.norm(x, lengths)
        elif self.norm is not None:
            x = self.norm(x.transpose(1, 2)).transpose(1, 2)
        return functional.gelu(x), lengths


class FeatureExtractor(nn.Module):
    """Convolutions over the samples (wav2vec 2.0, Baevski et al. 2020, section 2).

    They are unpadded: at a valid place each sees valid frames only.

    Args:
        channels: of each convolution.
        kernels: frames under each.
        strides: frames from one place of each to the next.
        bias: whether they have biases.
        norm: ``group`` after the first alone, or ``layer`` after each.
    """

    def __init__(
        self,
        channels: Sequence[int],
        kernels: Sequence[int],
        strides: Sequence[int],
        bias: bool,
        norm: Literal["group", "layer"],
    ) -> None:
        super().__init__()
        inputs = (1, *channels)
        self.layers = nn.ModuleList(
            FeatureConvolution(
                inputs[index], size, kernel, stride, bias, norm if norm == "layer" or index == 0 else None
            )
            for index, (size, kernel, stride) in enumerate(zip(channels, kernels, strides, strict=True))
        )

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``(batch, samples)`` and valid samples to ``(batch, time, channels)`` and valid frames."""
        x = waveforms[:, None]
        for layer in self.layers:
            x, lengths = layer(x, lengths)
        return x.transpose(1, 2), lengths
