"""A recogniser: a member that was exported, loaded to turn recordings into text."""

import logging
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio
from torch import Tensor, nn

from allinone.decoding import ctc_greedy
from allinone.export.artefact import Artefact, read_artefact
from allinone.export.audio import mono, windows
from allinone.export.manifest import Manifest

LONGEST_SECONDS = 20.0
_SEARCH = 0.4  # share of a full window that is searched for a pause
_PAUSE_SECONDS = 0.2
_BATCH_WINDOWS = 4
_RATES = range(1_000, 1_000_001)
_LARGEST_RATIO = 1_000

logger = logging.getLogger(__name__)


class Recogniser:
    """Turns recordings into text with a plain network; no code of the supernet is involved.

    Recordings longer than ``longest_seconds`` are cut at quiet places and recognised window by window, so that memory
    does not grow with their length.

    Args:
        artefact: the exported member.
        longest_seconds: length of the longest window, at least 1.
    """

    def __init__(self, artefact: Artefact, *, longest_seconds: float = LONGEST_SECONDS) -> None:
        if not longest_seconds >= 1:
            raise ValueError(
                f"Windows must be at least 1 second long; found longest_seconds={longest_seconds}. Name a longer one."
            )
        self._artefact = artefact
        self._longest_seconds = longest_seconds
        self._told_rates: set[int] = set()

    @property
    def member(self) -> str:
        """Name of the member, such as ``4-512-4bit``."""
        return self._artefact.manifest.member

    @property
    def manifest(self) -> Manifest:
        """What is known about the member: sizes, error rates, hashes."""
        return self._artefact.manifest

    @property
    def tokens(self) -> tuple[str, ...]:
        """The written form of every label; the first is the CTC blank."""
        return self._artefact.tokenizer.tokens

    @property
    def network(self) -> nn.Module:
        """The plain network: waveforms ``(batch, samples)`` at 16 kHz and lengths to log probabilities and lengths."""
        return self._artefact.network

    def transcribe(self, waveform: np.ndarray | Tensor, sample_rate: int) -> str:
        """The text of one recording; empty if the recording is empty or too short to hold speech.

        Args:
            waveform: ``(samples,)``, ``(channels, samples)`` or ``(samples, channels)``, see
                :func:`allinone.export.audio.mono`.
            sample_rate: samples per second; other rates than the network's are resampled.

        Raises:
            ValueError: for another shape or dtype, for samples that are not finite, and for an impossible rate.
        """
        return self._transcribe([mono(waveform)], sample_rate)

    def transcribe_file(self, path: str | os.PathLike[str]) -> str:
        """The text of an audio file of any format and sample rate that soundfile reads.

        Raises:
            ValueError: if the file cannot be read, or for samples that are not finite.
        """
        path = Path(path)
        if not path.is_file():
            raise ValueError(f"Transcribing needs an audio file; found none at {path}. Check the path.")
        try:
            with soundfile.SoundFile(path) as file:
                block = max(1, int(self._longest_seconds * file.samplerate))
                blocks = file.blocks(blocksize=block, dtype="float32", always_2d=True)
                return self._transcribe((_mean(block, path) for block in blocks), file.samplerate)
        except soundfile.LibsndfileError as error:
            raise ValueError(
                f"Transcribing needs an audio file that soundfile reads (WAV, FLAC, OGG, MP3, ...); found {path}, "
                f"which it does not ({error.error_string}). Convert the file to WAV."
            ) from error

    def _transcribe(self, blocks: Iterable[np.ndarray], sample_rate: int) -> str:
        pieces = self._windows(blocks, sample_rate)
        texts: list[str] = []
        while batch := list(islice(pieces, _BATCH_WINDOWS)):
            texts += self._recognise(batch)
        return " ".join(text for text in texts if text)

    def _windows(self, blocks: Iterable[np.ndarray], sample_rate: int) -> Iterator[Tensor]:
        ratio = self._resampling(sample_rate)
        longest = int(self._longest_seconds * sample_rate)
        pause = max(1, int(_PAUSE_SECONDS * sample_rate))
        for window in windows(blocks, longest, int(_SEARCH * longest), pause):
            samples = torch.from_numpy(window)
            if ratio != 1:
                samples = torchaudio.functional.resample(samples, ratio.denominator, ratio.numerator)
            if self._artefact.frames(len(samples)) > 0:
                yield samples

    def _resampling(self, sample_rate: int) -> Fraction:
        """Samples of the network per sample of the recording."""
        if sample_rate not in _RATES:
            raise ValueError(
                f"A sample rate must be a whole number of {_RATES[0]} to {_RATES[-1]} Hz; found {sample_rate}. "
                "Pass the rate that the recording was made with."
            )
        wanted = self._artefact.sample_rate
        if sample_rate < wanted and sample_rate not in self._told_rates:
            self._told_rates.add(sample_rate)
            logger.warning(
                "Audio of %d Hz lacks the high frequencies that %s knows from training at %d Hz: expect more errors.",
                sample_rate,
                self.member,
                wanted,
            )
        # The filters of resampling grow with both terms of the ratio: 44,101 Hz, taken literally, would need gigabytes.
        # The rounded ratio changes speed and pitch by less than one part in a thousand.
        return Fraction(wanted, sample_rate).limit_denominator(_LARGEST_RATIO)

    @torch.inference_mode()
    def _recognise(self, batch: list[Tensor]) -> list[str]:
        device = next(self.network.parameters()).device
        waveforms = nn.utils.rnn.pad_sequence(batch, batch_first=True).to(device)
        lengths = torch.tensor([len(samples) for samples in batch], device=device)
        output = self.network(waveforms, lengths)
        labels = ctc_greedy(output.log_probs, output.lengths)
        return [self._artefact.tokenizer.decode(utterance) for utterance in labels]


def load(folder: str | os.PathLike[str]) -> Recogniser:
    """Loads a member that was exported, after checking the hash of every file; nothing is ever unpickled.

    Raises:
        ValueError: if the folder is no exported member, or is damaged.
    """
    return Recogniser(read_artefact(Path(folder)))


def _mean(block: np.ndarray, path: Path) -> np.ndarray:
    """Mean of the channels ``(samples, channels)``."""
    try:
        return mono(block[:, 0] if block.shape[1] == 1 else block.mean(axis=1))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
