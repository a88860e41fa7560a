"""Front ends of pretrained encoders: raw audio or a spectrogram to frames with positions."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from allinone.layers.dropout import Dropout
from allinone.layers.feature_extractor import FeatureExtractor
from allinone.layers.lengths import padding_mask
from allinone.layers.linear import Linear
from allinone.layers.positions import sinusoids


class WaveformFrontEnd(nn.Module):
    """Convolutional features, projected, with convolutional positions (wav2vec 2.0, Baevski et al. 2020, section 2).

    Args:
        extractor: from samples to features.
        channels: of the features.
        dim: model dimension.
        positions: from frames and their padding to what is added to them.
        feature_norm: whether features are normalised before their projection.
        norm: whether frames with positions are (where layers have their norms at the end).
        dropout: probability, after projection and norm.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        channels: int,
        dim: int,
        positions: nn.Module,
        feature_norm: bool,
        norm: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.extractor = extractor
        self.feature_norm = nn.LayerNorm(channels) if feature_norm else nn.Identity()
        self.projection = Linear(channels, dim)
        self.masked = nn.Parameter(torch.rand(dim))
        self.positions = positions
        self.norm = nn.LayerNorm(dim) if norm else nn.Identity()
        self.dropout = Dropout(dropout)

    def forward(self, features: Tensor, lengths: Tensor, masked: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Embeds.

        Args:
            features: samples, ``(batch, samples, 1)``.
            lengths: valid samples, ``(batch,)``.
            masked: frames that are replaced by a learnt one in training, ``(batch, time)``, True at them.

        Returns:
            ``(batch, time, dim)`` and the valid frames of each utterance, ``(batch,)``.
        """
        x, lengths = self.extractor(features[..., 0], lengths)
        x = self.dropout(self.projection(self.feature_norm(x)))
        if masked is not None:
            x = torch.where(masked[..., None], self.masked.to(x.dtype), x)
        x = x + self.positions(x, padding_mask(lengths, x.shape[1]))
        return self.dropout(self.norm(x)), lengths


class SpectrogramFrontEnd(nn.Module):
    """Two convolutions, the second of stride 2, and sinusoids (Whisper, Radford et al. 2022, section 2.2).

    An utterance ends where it ends: zeros follow it, not the features of silence up to 30 s.

    Args:
        bands: of the features.
        dim: model dimension.
        dropout: probability.
    """

    def __init__(self, bands: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Conv1d(bands, dim, 3, padding=1)
        self.second = nn.Conv1d(dim, dim, 3, stride=2, padding=1)
        self.dropout = Dropout(dropout)

    def forward(self, features: Tensor, lengths: Tensor, masked: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Embeds.

        Args:
            features: ``(batch, time, bands)``.
            lengths: valid frames, ``(batch,)``.
            masked: frames that are replaced by zeros in training, before their positions, ``(batch, time / 2)``.

        Returns:
            ``(batch, time / 2, dim)`` and the valid frames of each utterance, ``(batch,)``.
        """
        padding = padding_mask(lengths, features.shape[1])[:, None]
        x = functional.gelu(self.first(features.transpose(1, 2).masked_fill(padding, 0)))
        x = functional.gelu(self.second(x.masked_fill(padding, 0))).transpose(1, 2)
        if masked is not None:
            x = x.masked_fill(masked[..., None], 0)
        return self.dropout(x + sinusoids(x.shape[1], x.shape[2], x)), torch.div(lengths + 1, 2, rounding_mode="floor")
