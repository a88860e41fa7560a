"""Audio of files: any format, sample rate and number of channels that soundfile reads, as mono at 16 kHz."""

import io
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import torch
from lhotse.augmentation.resample import Resample

from allinone.data.batch import SAMPLE_RATE


@cache
def _resampler(rate: int) -> Resample:
    return Resample(rate, SAMPLE_RATE)


def read_mono(source: str | Path | BinaryIO | bytes) -> tuple[np.ndarray, int]:
    """Decode a recording, mix it to mono and resample it.

    Args:
        source: a path, an open binary file, or the bytes of a file.

    Returns:
        Samples ``(samples,)`` float32 in -1 .. 1 at 16 kHz, and the sample rate in Hz that the recording had.

    Raises:
        soundfile.LibsndfileError: if it cannot be decoded.
        OSError: if it cannot be read.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1, dtype=np.float32) if samples.shape[1] != 1 else samples[:, 0]
    return resample(mono, rate), rate


def resample(samples: np.ndarray, rate: int) -> np.ndarray:
    """Samples ``(samples,)`` at another rate in Hz become samples at 16 kHz (windowed sinc)."""
    if rate == SAMPLE_RATE or not len(samples):
        return samples
    return _resampler(rate)(torch.from_numpy(np.ascontiguousarray(samples))).numpy()


def write_wav(path: str | Path, samples: np.ndarray) -> None:
    """Write samples in -1 .. 1 at 16 kHz as 16-bit PCM. Raises OSError if that is not possible."""
    limited = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
    try:
        soundfile.write(path, limited, SAMPLE_RATE, subtype="PCM_16")
    except soundfile.SoundFileError as error:
        raise OSError(f"cannot write {path}: {error}") from error
