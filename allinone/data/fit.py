"""Fit: whether an utterance can be learnt by a network, at its own and at another speed."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from lhotse.cut import Cut
from lhotse.utils import perturb_num_samples

from allinone.data.batch import SAMPLE_RATE
from allinone.data.cuts import samples_of, text_of
from allinone.data.report import TOO_MANY, TOO_SHORT, UNKNOWN, DataReport
from allinone.text import Tokenizer


@dataclass(frozen=True)
class Fit:
    """The rules of a network's outputs.

    CTC needs a frame for every label, and one more between equal neighbours (Graves et al. 2006). An attention decoder
    may have places for so many labels only; a frame to attend to is all that it needs.

    Attributes:
        tokenizer: writes the labels.
        frames: encoder frames that a number of samples at 16 kHz gives.
        max_seconds: longest utterance allowed.
        ctc: whether there is a CTC output.
        most_labels: of a text that the attention decoder can spell; None if there is no limit.
        needed: frames that utterances need, by id, as far as ``problem`` has seen them.
        unknown: characters without a label, and how many of these utterances have each.
    """

    tokenizer: Tokenizer
    frames: Callable[[int], int]
    max_seconds: float
    ctc: bool = True
    most_labels: int | None = None
    needed: dict[str, int] = field(default_factory=dict, repr=False)
    unknown: Counter[str] = field(default_factory=Counter, repr=False)

    def select(self, cuts: Iterable[Cut], report: DataReport) -> list[Cut]:
        """The cuts that can be learnt; the others are noted in the report."""
        good = []
        for cut in cuts:
            if (problem := self.problem(cut)) is None:
                good.append(cut)
            else:
                report.add(problem[0], cut.id, problem[1])
        return good

    def problem(self, cut: Cut) -> tuple[str, str] | None:
        """Reason and detail why a cut cannot be learnt; None if it can."""
        text = text_of(cut)
        if unknown := self.tokenizer.unknown(text):
            self.unknown.update(unknown)
            return UNKNOWN, f"{' '.join(sorted(unknown))} in {text!r}"
        labels = self.tokenizer.encode(text)
        if self.most_labels is not None and len(labels) > self.most_labels:
            return TOO_MANY, f"{text!r} has {len(labels)} labels, at most {self.most_labels} can be spelt"
        needed = max(1, len(labels) + sum(left == right for left, right in pairwise(labels))) if self.ctc else 1
        self.needed[cut.id] = needed
        if (frames := self.frames(samples_of(cut))) < needed:
            return TOO_SHORT, f"{cut.duration:.2f} s give {frames} frames, {text!r} needs {needed}"
        return None

    def allows(self, cut: Cut, factor: float) -> bool:
        """Whether a cut at another speed still is neither too long nor too short for its text."""
        samples = perturb_num_samples(samples_of(cut), factor)
        return samples <= self.max_seconds * SAMPLE_RATE and self.frames(samples) >= self.needed[cut.id]
