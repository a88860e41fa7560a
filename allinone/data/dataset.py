"""The dataset: cuts become a batch of waveforms and labels, in a loader worker."""

import logging

import numpy as np
import torch
from lhotse import CutSet
from lhotse.audio import audio_backend
from lhotse.cut import Cut
from torch.utils.data import Dataset

from allinone.data.batch import SAMPLE_RATE, Batch, collate
from allinone.data.chance import draw
from allinone.data.cuts import text_of
from allinone.text import Tokenizer

logger = logging.getLogger(__name__)

_MAX_BROKEN = 200


def load(cut: Cut) -> np.ndarray:
    """Samples ``(samples,)`` float32 of a cut at 16 kHz, channels mixed, its speed perturbation applied.

    Raises:
        ValueError: if the recording cannot be read, or differs from what it was when it was prepared.
    """
    try:
        with audio_backend("LibsndfileBackend"):  # as preparation does; lhotse reads .sph with a program of its own
            samples = cut.load_audio()
    except Exception as error:  # decoders raise whatever they like
        raise ValueError(f"audio of {cut.id!r} must stay readable during training, found: {error}") from error
    assert samples is not None
    mono = samples[0] if len(samples) == 1 else samples.mean(axis=0)
    if not len(mono) or not np.isfinite(mono).all():
        raise ValueError(f"audio of {cut.id!r} must hold finite samples, found {len(mono)} of which some are not")
    return mono


class SpeechDataset(Dataset[Batch]):
    """Maps ``(epoch, cuts)`` to a ``Batch``.

    A recording that breaks while the training runs is left out of its batch with one warning. A batch of which
    nothing can be read becomes a second of silence without text, so that replicas stay in step.

    Args:
        tokenizer: writes the labels.
        seed: of the training; with epoch and cut id it gives ``Batch.seeds``.
    """

    def __init__(self, tokenizer: Tokenizer, seed: int = 0) -> None:
        self.tokenizer = tokenizer
        self.seed = seed
        self.broken: set[str] = set()

    def __getitem__(self, item: tuple[int, CutSet]) -> Batch:
        epoch, cuts = item
        loaded = [(cut, samples) for cut in cuts.data if (samples := self._load(cut)) is not None]
        if not loaded:
            return collate([torch.zeros(SAMPLE_RATE)], [[]], [0], [""], [""])
        texts = [text_of(cut) for cut, _ in loaded]
        return collate(
            waveforms=[torch.from_numpy(samples) for _, samples in loaded],
            labels=[self.tokenizer.encode(text) for text in texts],
            seeds=[draw("utterance", self.seed, epoch, cut.id) for cut, _ in loaded],
            ids=[cut.id for cut, _ in loaded],
            texts=texts,
        )

    def _load(self, cut: Cut) -> np.ndarray | None:
        try:
            return load(cut)
        except ValueError as error:
            if cut.id not in self.broken:
                self.broken.add(cut.id)
                logger.warning("%s; the utterance is left out of its batches", error)
            if len(self.broken) > _MAX_BROKEN:
                raise ValueError(
                    f"training requires its prepared audio to stay, found {len(self.broken)} recordings gone or broken "
                    "since it began; bring the audio back (or empty the cache folder) and resume"
                ) from error
            return None
