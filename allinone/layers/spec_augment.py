"""Masks over bands and over time, drawn for each utterance from a seed of its own."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class SpecAugment(nn.Module):
    """SpecAugment (Park et al. 2019) without time warping, applied to normalised features (masked to zero, the mean).

    The masks are a function of the utterance's seed and length alone: neither the batch nor the number of ranks
    changes them.

    Args:
        frequency_masks: how many masks over bands.
        max_bands: largest width of a mask over bands (F).
        time_masks: how many masks over time.
        max_time_ratio: largest share of an utterance that one time mask covers.
    """

    def __init__(
        self, frequency_masks: int = 2, max_bands: int = 27, time_masks: int = 2, max_time_ratio: float = 0.2
    ) -> None:
        super().__init__()
        self.frequency_masks, self.max_bands = frequency_masks, max_bands
        self.time_masks, self.max_time_ratio = time_masks, max_time_ratio

    def forward(self, features: Tensor, lengths: Tensor, seeds: Tensor) -> Tensor:
        """Masks features.

        Args:
            features: ``(batch, time, bands)``.
            lengths: valid frames, ``(batch,)``.
            seeds: one per utterance, ``(batch,)``.

        Returns:
            ``(batch, time, bands)``.
        """
        _, time, bands = features.shape
        masked = torch.zeros(features.shape, dtype=torch.bool)
        for utterance, (length, seed) in enumerate(zip(lengths.tolist(), seeds.tolist(), strict=True)):
            generator = random.Random(seed)
            for _ in range(self.frequency_masks):
                start, stop = _mask(generator, bands, min(self.max_bands, bands))
                masked[utterance, :, start:stop] = True
            for _ in range(self.time_masks):
                start, stop = _mask(generator, length, int(length * self.max_time_ratio))
                masked[utterance, start:stop] = True
        return features.masked_fill(masked.to(features.device), 0)


def _mask(generator: random.Random, size: int, max_width: int) -> tuple[int, int]:
    width = generator.randint(0, max_width)
    start = generator.randint(0, size - width)
    return start, start + width


@dataclass(frozen=True)
class TimeMasks:
    """Spans of frames that a network must do without in training (wav2vec 2.0, Baevski et al. 2020, section 4.3).

    What stands in their place is the front end's matter. Spans may overlap.

    Args:
        share: of the frames, if spans did not overlap.
        span: frames of each.
    """

    share: float = 0.05
    span: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or self.span < 1:
            raise ValueError(
                f"Time masks require a share from 0 to 1 and spans of at least 1 frame; found {self.share} and "
                f"{self.span}. Correct them."
            )

    def draw(self, lengths: Sequence[int], time: int, seeds: Sequence[int]) -> Tensor:
        """Which frames are masked, ``(batch, time)``: True at them; never at padding.

        Args:
            lengths: valid frames of each utterance.
            time: frames of the padded batch.
            seeds: one for each utterance, which decides on its masks alone.
        """
        masked = torch.zeros(len(lengths), time, dtype=torch.bool)
        for utterance, (length, seed) in enumerate(zip(lengths, seeds, strict=True)):
            generator = random.Random(seed)
            spans = int(self.share * length / self.span + generator.random())
            for _ in range(spans if length > self.span else 0):
                start = generator.randint(0, length - self.span)
                masked[utterance, start : start + self.span] = True
        return masked
