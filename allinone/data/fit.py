"""Fit: whether an utterance can be learnt with CTC, at its own and at another speed."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from lhotse.cut import Cut
from lhotse.utils import perturb_num_samples

from allinone.data.batch import SAMPLE_RATE
from allinone.data.cuts import samples_of, text_of
from allinone.data.report import TOO_SHORT, UNKNOWN
from allinone.text import Tokenizer


@dataclass(frozen=True)
class CtcFit:
    """The rule of CTC (Graves et al. 2006): a frame for every label, and one more between equal neighbours.

    Attributes:
        tokenizer: writes the labels.
        frames: encoder frames that a number of samples at 16 kHz gives.
        max_seconds: longest utterance allowed.
        needed: frames that utterances need, by id, as far as ``problem`` has seen them.
        unknown: characters without a label, and how many of these utterances have each.
    """

    tokenizer: Tokenizer
    frames: Callable[[int], int]
    max_seconds: float
    needed: dict[str, int] = field(default_factory=dict, repr=False)
    unknown: Counter[str] = field(default_factory=Counter, repr=False)

    def problem(self, cut: Cut) -> tuple[str, str] | None:
        """Reason and detail why a cut cannot be learnt; None if it can."""
        text = text_of(cut)
        if unknown := self.tokenizer.unknown(text):
            self.unknown.update(unknown)
            return UNKNOWN, f"{' '.join(sorted(unknown))} in {text!r}"
        labels = self.tokenizer.encode(text)
        needed = max(1, len(labels) + sum(left == right for left, right in pairwise(labels)))
        self.needed[cut.id] = needed
        if (frames := self.frames(samples_of(cut))) < needed:
            return TOO_SHORT, f"{cut.duration:.2f} s give {frames} frames, {text!r} needs {needed}"
        return None

    def allows(self, cut: Cut, factor: float) -> bool:
        """Whether a cut at another speed still is neither too long nor too short for its text."""
        samples = perturb_num_samples(samples_of(cut), factor)
        return samples <= self.max_seconds * SAMPLE_RATE and self.frames(samples) >= self.needed[cut.id]
