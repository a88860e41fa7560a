"""A recogniser: a member that was exported, loaded to turn recordings into text."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from allinone.decoding import Decoder, Greedy, Hypothesis
from allinone.export.artefact import Artefact, read_artefact
from allinone.export.audio import blocks, is_silent, mono, open_audio, resample, resampling_ratio, windows
from allinone.export.manifest import Manifest

LONGEST_SECONDS = 20.0
GREEDY = Greedy()
_SEARCH = 0.4  # share of a full window that is searched for a pause
_PAUSE_SECONDS = 0.2
_BATCH_WINDOWS = 4


class Recogniser:
    """Turns recordings into text with a plain network; no code of the supernet is involved.

    Recordings longer than ``longest_seconds`` are cut at quiet places and recognised window by window, so that memory
    does not grow with their length. A silent window (:func:`allinone.export.audio.is_silent`) is no speech, and the
    network is not asked: an attention decoder invents text where nothing is said.

    Args:
        artefact: the exported member.
        decoder: how outputs become text; each window is a sentence of its own to an n-gram.
        longest_seconds: length of the longest window, at least 1.
    """

    def __init__(
        self, artefact: Artefact, *, decoder: Decoder = GREEDY, longest_seconds: float = LONGEST_SECONDS
    ) -> None:
        if not longest_seconds >= 1:
            raise ValueError(
                f"Windows must be at least 1 second long; found longest_seconds={longest_seconds}. Name a longer one."
            )
        self._artefact = artefact
        self._decode = decoder.build(artefact.tokenizer)
        self._longest_seconds = longest_seconds

    @property
    def member(self) -> str:
        """Name of the member, such as ``4-512-4bit``."""
        return self._artefact.manifest.member

    @property
    def sample_rate(self) -> int:
        """Samples per second that the network hears; recordings at other rates are resampled."""
        return self._artefact.sample_rate

    @property
    def manifest(self) -> Manifest:
        """What is known about the member: sizes, error rates, hashes."""
        return self._artefact.manifest

    @property
    def tokens(self) -> tuple[str, ...]:
        """The written form of every label; the first is the CTC blank, or ends a text."""
        return self._artefact.tokenizer.tokens

    @property
    def network(self) -> nn.Module:
        """The plain network: waveforms ``(batch, samples)`` at 16 kHz and lengths to log probabilities and lengths."""
        return self._artefact.network

    def transcribe(self, waveform: np.ndarray | Tensor, sample_rate: float) -> str:
        """The text of one recording; empty if the recording is empty, silent, or too short to hold speech.

        Args:
            waveform: ``(samples,)``, ``(channels, samples)`` or ``(samples, channels)``, see
                :func:`allinone.export.audio.mono`.
            sample_rate: samples per second; other rates than the network's are resampled.

        Raises:
            ValueError: for another shape or dtype, for samples that are not finite, and for an impossible rate.
        """
        return text_of(self.hypotheses(waveform, sample_rate))

    def transcribe_file(self, path: str | os.PathLike[str]) -> str:
        """The text of an audio file of any format and sample rate that soundfile reads.

        Raises:
            ValueError: if the file cannot be read, or for samples that are not finite.
        """
        return text_of(self.hypotheses_of_file(path))

    def hypotheses(self, waveform: np.ndarray | Tensor, sample_rate: float) -> list[Sequence[Hypothesis]]:
        """What may have been said, with scores: for each window of a recording its hypotheses, the best first.

        Windows that are silent, or too short to hold speech, are left out. Arguments and errors are those of
        :meth:`transcribe`.
        """
        return self._hypotheses([mono(waveform)], sample_rate)

    def hypotheses_of_file(self, path: str | os.PathLike[str]) -> list[Sequence[Hypothesis]]:
        """The same for an audio file; arguments and errors are those of :meth:`transcribe_file`."""
        with open_audio(Path(path)) as file:
            return self._hypotheses(blocks(file, self._longest_seconds), file.samplerate)

    def _hypotheses(self, pieces: Iterable[np.ndarray], sample_rate: float) -> list[Sequence[Hypothesis]]:
        found = self._windows(pieces, sample_rate)
        heard: list[Sequence[Hypothesis]] = []
        while batch := list(islice(found, _BATCH_WINDOWS)):
            heard += self._recognise(batch)
        return heard

    def _windows(self, pieces: Iterable[np.ndarray], sample_rate: float) -> Iterator[Tensor]:
        ratio = resampling_ratio(sample_rate, self._artefact.sample_rate)
        longest = int(self._longest_seconds * sample_rate)
        pause = int(_PAUSE_SECONDS * sample_rate)
        for window in windows(pieces, longest, int(_SEARCH * longest), pause):
            if is_silent(window, sample_rate):
                continue
            samples = resample(torch.from_numpy(window), ratio)
            if self._artefact.frames(len(samples)) > 0:
                yield samples

    @torch.inference_mode()
    def _recognise(self, batch: list[Tensor]) -> Sequence[Sequence[Hypothesis]]:
        device = next(self.network.parameters()).device
        waveforms = nn.utils.rnn.pad_sequence(batch, batch_first=True).to(device)
        lengths = torch.tensor([len(samples) for samples in batch], device=device)
        return self._decode(self.network(waveforms, lengths))


def text_of(windows: Iterable[Sequence[Hypothesis]]) -> str:
    """The best texts of a recording's windows, joined."""
    return " ".join(word for hypotheses in windows for word in hypotheses[0].text.split())


def load(folder: str | os.PathLike[str], *, decoder: Decoder = GREEDY, bits: int | None = None) -> Recogniser:
    """Loads a member that was exported, after checking the hash of every file; nothing is ever unpickled.

    Args:
        folder: what `allinone export` wrote.
        decoder: how outputs become text, such as :class:`allinone.decoding.NgramBeam`.
        bits: of an export with nested=true, which precision; no more of the weights is read than it needs. None: all.

    Raises:
        ValueError: if the folder is no exported member, or is damaged; if it does not hold that precision; if the
            decoder lacks something.
    """
    return Recogniser(read_artefact(Path(folder), bits), decoder=decoder)
