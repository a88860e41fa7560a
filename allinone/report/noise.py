"""Batches of noise, where only shapes matter."""

import torch

from allinone.data import SAMPLE_RATE, Batch

_LETTERS = 12  # that people speak in a second


def noise_batch(utterances: int, seconds: float, vocab_size: int, seed: int = 0) -> Batch:
    """Noise of equal lengths, with as many random labels as people speak letters.

    Args:
        utterances: how many.
        seconds: of each.
        vocab_size: labels are from 1 to below it.
        seed: of both.
    """
    generator = torch.Generator().manual_seed(seed)
    samples, labels = int(seconds * SAMPLE_RATE), int(seconds * _LETTERS)
    return Batch(
        waveforms=torch.randn(utterances, samples, generator=generator) * 0.1,
        lengths=torch.full((utterances,), samples),
        labels=torch.randint(1, vocab_size, (utterances, labels), generator=generator),
        label_lengths=torch.full((utterances,), labels),
        seeds=torch.arange(utterances),
        ids=tuple(map(str, range(utterances))),
        texts=("",) * utterances,
    )
