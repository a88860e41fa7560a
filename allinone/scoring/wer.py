"""Word errors as sclite counts them, and character errors, as counts that add up."""

from dataclasses import dataclass

import kaldialign

from allinone.scoring.alignment import edits


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


def count_edits(letters: str) -> ErrorCounts:
    """Errors of one alignment, given as the letters of ``edits``."""
    inserted = letters.count("I")
    return ErrorCounts(letters.count("S"), letters.count("D"), inserted, len(letters) - inserted)


def word_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Errors between words, which white space separates, by sclite's alignment.

    Its weights prefer correct words to few errors, so that a rate can be a little higher than by the fewest errors.
    Texts are compared as they are: normalise both before.
    """
    return count_edits(edits(reference.split(), hypothesis.split()))


def character_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Fewest errors between characters; runs of white space count as one space, and those at the ends not at all."""
    said, heard = (" ".join(text.split()) for text in (reference, hypothesis))
    counts = kaldialign.edit_distance(said, heard)
    return ErrorCounts(int(counts["sub"]), int(counts["del"]), int(counts["ins"]), len(said))
