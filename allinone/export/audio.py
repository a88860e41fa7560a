"""Audio as callers hand it over, turned into mono samples and cut into windows at quiet places."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

MOST_CHANNELS = 32
_LOUDEST = 8.0  # decoders of lossy formats overshoot 1, but not by this
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
    if samples.ndim == 2 and min(samples.shape) <= MOST_CHANNELS:
        samples = _to_float(samples).mean(axis=int(np.argmin(samples.shape)) if samples.size else 1)
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


def windows(blocks: Iterable[np.ndarray], longest: int, search: int, pause: int) -> Iterator[np.ndarray]:
    """Cuts a recording into windows in the middle of its quietest pauses; joined, they are the recording.

    A recording of at most ``longest`` samples is one window. No more than a window and a block are held at a time.

    Args:
        blocks: the recording piece by piece, each ``(samples,)``.
        longest: samples of the longest window.
        search: how many of the last samples of a full window are searched for the place to cut.
        pause: samples over which loudness is averaged.
    """
    rest = np.zeros(0, np.float32)
    for block in blocks:
        rest = np.concatenate([rest, block])
        while len(rest) > longest:
            cut = longest - search + _quietest(rest[longest - search : longest], pause)
            yield rest[:cut]
            rest = rest[cut:]
    if len(rest):
        yield rest


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
