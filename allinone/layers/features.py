"""Features, inside the network, so that an exported member takes audio: log-mel energies, Whisper's, or the samples."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torchaudio
from torch import Tensor, nn

from allinone.layers.lengths import padding_mask

_SAMPLE_RATE, _WINDOW, _HOP = 16_000, 400, 160  # of Whisper, and of networks that take raw audio
_TYPICAL_DEVIATION = 3.0  # of natural logarithms of band energies in speech


@runtime_checkable
class FeatureSettings(Protocol):
    """How features are computed: a frozen value."""

    @property
    def sample_rate(self) -> int: ...
    @property
    def bands(self) -> int: ...

    def frames(self, samples: int) -> int:
        """Number of frames of so many samples."""
        ...

    def build(self) -> "Features":
        """From waveforms ``(batch, samples)`` between -1 and 1 and valid samples ``(batch,)`` to features.

        They are ``(batch, time, bands)``, zero at padding; the valid frames ``(batch,)`` come with them.
        """
        ...


@dataclass(frozen=True)
class LogMelSettings:
    """Settings of :class:`LogMel`.

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

    def build(self) -> "LogMel":
        """The features themselves."""
        return LogMel(self)


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


@dataclass(frozen=True)
class WhisperLogMelSettings:
    """Settings of :class:`WhisperLogMel`: windows of 25 ms every 10 ms at 16 kHz.

    Args:
        bands: number of mel bands.
    """

    bands: int = 80

    @property
    def sample_rate(self) -> int:
        """Of the waveforms, in Hz."""
        return _SAMPLE_RATE

    def frames(self, samples: int) -> int:
        """Number of frames of so many samples."""
        return samples // _HOP

    def build(self) -> "WhisperLogMel":
        """The features themselves."""
        return WhisperLogMel(self)


class WhisperLogMel(nn.Module):
    """Waveforms to log-mel energies as Whisper takes them (Radford et al. 2022, section 2.2): the upper 80 dB of each.

    Windows stand around their places; an utterance is reflected at both of its ends. None is filled up to 30 s, so that
    its loudest place decides alone where the lower end is, and what follows it in the batch does not matter.
    """

    filters: Tensor
    window: Tensor

    def __init__(self, settings: WhisperLogMelSettings) -> None:
        super().__init__()
        self.settings = settings
        filters = torchaudio.functional.melscale_fbanks(
            _WINDOW // 2 + 1,
            0.0,
            _SAMPLE_RATE / 2,
            settings.bands,
            _SAMPLE_RATE,
            norm="slaney",
            mel_scale="slaney",
        )
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("window", torch.hann_window(_WINDOW), persistent=False)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`LogMel.forward`."""
        places = torch.arange(-_WINDOW // 2, waveforms.shape[1] + _WINDOW // 2, device=waveforms.device).abs()
        last = (lengths - 1).clamp(min=0)[:, None]
        places = (last - (last - places).abs()).clamp(min=0)  # reflected at the end
        with torch.autocast(waveforms.device.type, enabled=False):  # powers do not fit into sixteen bits
            reflected = waveforms.gather(1, places) if waveforms.shape[1] else waveforms.new_zeros(places.shape)
            power = torch.fft.rfft(reflected.unfold(1, _WINDOW, _HOP)[:, :-1] * self.window).abs().square()
            features = (power @ self.filters).clamp(min=1e-10).log10()
        lengths = torch.div(lengths, _HOP, rounding_mode="floor")
        padding = padding_mask(lengths, features.shape[1])[..., None]
        loudest = features.masked_fill(padding, -torch.inf).amax((1, 2), keepdim=True)
        return ((torch.maximum(features, loudest - 8) + 4) / 4).masked_fill(padding, 0), lengths


@dataclass(frozen=True)
class WaveformSettings:
    """Settings of :class:`Waveform`.

    Args:
        normalise: whether each utterance gets a mean of zero and a variance of one.
    """

    normalise: bool = True

    @property
    def sample_rate(self) -> int:
        """Of the waveforms, in Hz."""
        return _SAMPLE_RATE

    @property
    def bands(self) -> int:
        """One: the sample itself."""
        return 1

    def frames(self, samples: int) -> int:
        """Number of frames of so many samples: as many."""
        return samples

    def build(self) -> "Waveform":
        """The features themselves."""
        return Waveform(self)


class Waveform(nn.Module):
    """The samples themselves, for networks that take raw audio (wav2vec 2.0, Baevski et al. 2020, section 2)."""

    def __init__(self, settings: WaveformSettings) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`LogMel.forward`: ``(batch, samples, 1)``."""
        padding = padding_mask(lengths, waveforms.shape[1])
        waveforms = waveforms.masked_fill(padding, 0)
        if self.settings.normalise:
            count = lengths.clamp(min=1)[:, None]
            centred = (waveforms - waveforms.sum(1, keepdim=True) / count).masked_fill(padding, 0)
            variance = centred.square().sum(1, keepdim=True) / count
            waveforms = centred * (variance + 1e-7).rsqrt()
        return waveforms[..., None], lengths


Features = LogMel | WhisperLogMel | Waveform
