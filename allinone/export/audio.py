"""Audio as callers hand it over: read, turned into mono samples, resampled, cut into windows at quiet places."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
import torchaudio
from torch import Tensor

MOST_CHANNELS = 32
RATES = range(1_000, 1_000_001)  # Hz
_LARGEST_TERM = 1_000
_LOUDEST = 8.0  # decoders of lossy formats overshoot 1, but not by this
_FRAME_SECONDS = 0.02
# The mean square of silence is below: -60 dB of full scale, where samples span 6 of 16 bits. Speech is far above: the
# loudest 20 ms of 400 lines of Amazon Queen, drawn by chance, have -15 dB at the least.
_SILENCE = 10.0 ** (-60 / 10)
_FULL_SCALE = {np.dtype(np.int8): 2.0**7, np.dtype(np.int16): 2.0**15, np.dtype(np.int32): 2.0**31}


def mono(waveform: np.ndarray | Tensor) -> np.ndarray:
    """A recording as float32 samples ``(samples,)`` between -1 and 1, the mean of its channels.

    Args:
        waveform: ``(samples,)``, ``(channels, samples)`` or ``(samples, channels)``: the shorter dimension, of at most
            32, is taken for the channels. Floating point between -1 and 1, or int8, int16, int32 (full scale), or
            uint8 with silence at 128, as in WAV files.

    Raises:
        ValueError: for another shape or dtype, for NaN and infinity, and for floating point far beyond -1 to 1.
    """
    if isinstance(waveform, Tensor):
        tensor = waveform.detach().cpu()
        waveform = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    samples = np.asarray(waveform)
    if samples.ndim in (1, 2) and samples.size == 0:
        return np.zeros(0, np.float32)
    if samples.ndim == 2 and min(samples.shape) <= MOST_CHANNELS:
        samples = _to_float(samples).mean(axis=int(np.argmin(samples.shape)))
    elif samples.ndim != 1:
        raise ValueError(
            f"A waveform must have the shape (samples,), or two dimensions of which one has at most {MOST_CHANNELS} "
            f"channels; found the shape {samples.shape}. Pass one recording at a time."
        )
    samples = _to_float(samples)
    if not np.isfinite(samples).all():
        raise ValueError(
            f"A waveform must hold finite samples; found {int((~np.isfinite(samples)).sum())} times NaN or infinity. "
            "Read the recording again, or cut the damaged part."
        )
    loudest = float(np.abs(samples).max(initial=0.0))
    if loudest > _LOUDEST:
        raise ValueError(
            f"A waveform in floating point must lie between -1 and 1; found {loudest:g}. "
            "Divide it by its full scale (32768 for 16-bit audio), or pass integers."
        )
    return samples


def open_audio(path: Path) -> soundfile.SoundFile:
    """Opens an audio file of any format that soundfile reads; to be used in a ``with`` statement.

    Raises:
        ValueError: if there is no such file, or soundfile does not read it.
    """
    if not path.is_file():
        raise ValueError(f"Transcribing needs an audio file; found none at {path}. Check the path.")
    try:
        return soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, TypeError) as error:  # a TypeError for raw samples, which have no header
        raise _unreadable(path, error) from error


def blocks(file: soundfile.SoundFile, seconds: float) -> Iterator[np.ndarray]:
    """The samples of a file, as :func:`mono` gives them, in blocks of so many seconds.

    Not by ``file.blocks``: it believes the length that the header tells, and where an MP3 holds less than that, as most
    do, it hands out whatever stood in memory.

    Raises:
        ValueError: as :func:`mono`, with the name of the file; or if the rest of the file cannot be read.
    """
    frames = max(1, int(seconds * file.samplerate))
    while True:
        try:
            block = file.read(frames, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise _unreadable(file.name, error) from error
        if len(block) == 0:
            return
        try:
            yield mono(block.mean(axis=1))
        except ValueError as error:
            raise ValueError(f"{file.name}: {error}") from error


def resampling_ratio(sample_rate: float, wanted: int) -> Fraction:
    """Samples at ``wanted`` Hz per sample at ``sample_rate`` Hz, as a fraction of small terms.

    The filters of resampling grow with both terms: 44,101 Hz, taken literally, would need gigabytes. The rounding
    changes speed and pitch by less than one part in a thousand.

    Raises:
        ValueError: if the rate is no whole number, or of no audio.
    """
    if sample_rate not in RATES:
        raise ValueError(
            f"A sample rate must be a whole number of {RATES[0]} to {RATES[-1]} Hz; found {sample_rate!r}. "
            "Pass the rate that the recording was made with."
        )
    return Fraction(wanted, int(sample_rate)).limit_denominator(_LARGEST_TERM)


def resample(samples: Tensor, ratio: Fraction) -> Tensor:
    """Samples ``(samples,)`` with ``ratio`` times as many samples per second."""
    if ratio == 1 or not len(samples):
        return samples
    return torchaudio.functional.resample(samples, ratio.denominator, ratio.numerator)


def windows(pieces: Iterable[np.ndarray], longest: int, search: int, pause: int) -> Iterator[np.ndarray]:
    """Cuts a recording into windows in the middle of its quietest pauses; joined, they are the recording.

    A recording of at most ``longest`` samples is one window. No more than a window and a piece are held at a time.

    Args:
        pieces: the recording piece by piece, each ``(samples,)``.
        longest: samples of the longest window.
        search: how many of the last samples of a full window are searched for the place to cut.
        pause: samples over which loudness is averaged.
    """
    rest = np.zeros(0, np.float32)
    for piece in pieces:
        rest = np.concatenate([rest, piece])
        while len(rest) > longest:
            cut = longest - search + _quietest(rest[longest - search : longest], pause)
            yield rest[:cut]
            rest = rest[cut:]
    if len(rest):
        yield rest


def is_silent(samples: np.ndarray, sample_rate: float) -> bool:
    """Whether the loudest 20 ms of a window ``(samples,)`` are quieter than 60 dB below full scale (root mean square).

    A constant offset is silent, too: what does not move is not heard.
    """
    frame = max(1, int(_FRAME_SECONDS * sample_rate))
    starts = np.arange(0, len(samples), frame)
    sizes = np.diff(starts, append=len(samples))
    wide = samples.astype(np.float64)
    squares, means = (np.add.reduceat(x, starts) / sizes for x in (np.square(wide), wide))
    return bool((squares - np.square(means) < _SILENCE).all())


def _quietest(samples: np.ndarray, pause: int) -> int:
    """The middle of the quietest ``pause`` samples."""
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    return int(np.argmin(energy[pause:] - energy[:-pause])) + pause // 2


def _to_float(samples: np.ndarray) -> np.ndarray:
    if np.issubdtype(samples.dtype, np.floating):
        return samples.astype(np.float32)
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    if samples.dtype not in _FULL_SCALE:
        raise ValueError(
            "A waveform must be floating point between -1 and 1, or int8, int16, int32 or uint8; "
            f"found {samples.dtype}. Convert it to one of these, such as waveform.astype('int16')."
        )
    return samples.astype(np.float32) / np.float32(_FULL_SCALE[samples.dtype])


def _unreadable(path: object, error: Exception) -> ValueError:
    return ValueError(
        f"Transcribing needs an audio file that soundfile reads (WAV, FLAC, OGG, MP3, ...); found {path}, which it "
        f"does not ({error}). Convert the file to WAV."
    )
