"""Word and character errors by Levenshtein alignment (kaldialign), as counts that add up."""

from collections.abc import Sequence
from dataclasses import dataclass

import kaldialign


@dataclass(frozen=True)
class ErrorCounts:
    """Errors of hypotheses against references; add counts of utterances for those of a test set.

    Attributes:
        substitutions, deletions, insertions: how many of each.
        words: how many words (or characters) the references hold.
    """

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    words: int = 0

    @property
    def errors(self) -> int:
        """All three kinds together."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors per hundred reference words. Without reference words: 0 if nothing was inserted, infinite if so."""
        if self.words == 0:
            return float("inf") if self.errors else 0.0
        return 100.0 * self.errors / self.words

    def __add__(self, other: "ErrorCounts") -> "ErrorCounts":
        return ErrorCounts(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.words + other.words,
        )


def _errors(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorCounts:
    counts = kaldialign.edit_distance(list(reference), list(hypothesis))
    return ErrorCounts(int(counts["sub"]), int(counts["del"]), int(counts["ins"]), len(reference))


def word_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Errors between words, which white space separates. Texts are compared as they are: normalise both before."""
    return _errors(reference.split(), hypothesis.split())


def character_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Errors between characters; runs of white space count as one space, and those at the ends not at all."""
    return _errors(" ".join(reference.split()), " ".join(hypothesis.split()))
