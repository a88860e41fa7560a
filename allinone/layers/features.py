"""Log-mel features, inside the network, so that an exported member takes audio."""

from dataclasses import dataclass

import torch
import torchaudio
from torch import Tensor, nn

from allinone.layers.lengths import padding_mask

_TYPICAL_DEVIATION = 3.0  # of natural logarithms of band energies in speech


@dataclass(frozen=True)
class LogMelSettings:
    """How features are computed.

    Args:
        sample_rate: of the waveforms, in Hz.
        bands: number of mel bands.
        window: window length in samples, which is also the size of the Fourier transform.
        hop: samples between windows.
    """

    sample_rate: int = 16_000
    bands: int = 80
    window: int = 400
    hop: int = 160

    def frames(self, samples: int) -> int:
        """Number of frames of so many samples."""
        return max(0, 1 + (samples - self.window) // self.hop)


class LogMel(nn.Module):
    """Waveforms to normalised log-mel filterbank energies.

    Windows that reach over the end of an utterance are dropped, so that its features do not depend on what follows it
    in the batch. The mean of each band over the utterance is removed, which also removes the gain of the recording.
    """

    filters: Tensor
    window: Tensor

    def __init__(self, settings: LogMelSettings) -> None:
        super().__init__()
        self.settings = settings
        filters = torchaudio.functional.melscale_fbanks(
            settings.window // 2 + 1, 20.0, settings.sample_rate / 2, settings.bands, settings.sample_rate
        )
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("window", torch.hann_window(settings.window), persistent=False)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Extracts features.

        Args:
            waveforms: ``(batch, samples)`` between -1 and 1.
            lengths: valid samples of each utterance, ``(batch,)``.

        Returns:
            Features ``(batch, time, bands)``, zero at padding, and the valid frames of each utterance, ``(batch,)``.
        """
        window, hop = self.settings.window, self.settings.hop
        waveforms = nn.functional.pad(waveforms, (0, max(0, window - waveforms.shape[1])))
        with torch.autocast(waveforms.device.type, enabled=False):  # powers do not fit into sixteen bits
            power = torch.fft.rfft(waveforms.unfold(1, window, hop) * self.window).abs().square()
            features = (power @ self.filters).clamp(min=1e-8).log()
        lengths = (1 + torch.div(lengths - window, hop, rounding_mode="floor")).clamp(min=0)
        padding = padding_mask(lengths, features.shape[1])[..., None]
        mean = features.masked_fill(padding, 0).sum(1, keepdim=True) / lengths.clamp(min=1)[:, None, None]
        return ((features - mean) / _TYPICAL_DEVIATION).masked_fill(padding, 0), lengths
