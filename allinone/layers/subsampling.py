"""Two-dimensional convolutional subsampling of features by four in time."""

from torch import Tensor, nn
from torch.nn import functional

from allinone.layers.dropout import Dropout
from allinone.layers.linear import Linear


def _halved(size: int) -> int:
    return (size - 1) // 2


class Conv2dSubsampling(nn.Module):
    """Two unpadded 3 x 3 convolutions of stride 2 and a linear map.

    An unpadded convolution at a valid place sees valid frames only, so nothing leaks from the padding.

    Args:
        bands: feature bands.
        channels: of the convolutions.
        dim: model dimension.
        separable: whether the second convolution is a depthwise and a pointwise one (a ninth of the products).
        dropout: probability, after the output.
    """

    def __init__(self, bands: int, channels: int, dim: int, separable: bool, dropout: float) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, channels, 3, stride=2)
        self.second = nn.Conv2d(channels, channels, 3, stride=2, groups=channels if separable else 1)
        self.mix = nn.Conv2d(channels, channels, 1) if separable else nn.Identity()
        self.linear = Linear(channels * _halved(_halved(bands)), dim)
        self.dropout = Dropout(dropout)

    @staticmethod
    def frames(feature_frames: int) -> int:
        """Frames that remain of so many feature frames."""
        return max(0, _halved(_halved(feature_frames)))

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Subsamples.

        Args:
            features: ``(batch, time, bands)``.
            lengths: valid frames, ``(batch,)``.

        Returns:
            ``(batch, time // 4, dim)`` and the valid frames of each utterance, ``(batch,)``.
        """
        x = functional.relu(self.first(features[:, None]))
        x = functional.relu(self.mix(self.second(x)))  # (batch, channels, time, bands)
        lengths = ((((lengths - 1) // 2) - 1) // 2).clamp(min=0)
        return self.dropout(self.linear(x.permute(0, 2, 1, 3).flatten(2))), lengths
