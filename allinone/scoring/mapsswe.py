"""The matched-pairs sentence-segment word error test (MAPSSWE), with the numbers of NIST's sc_stats."""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

GOOD_WORDS = 2  # that both systems got right in a row: the errors before and after them count as independent


@dataclass(frozen=True)
class MatchedPairs:
    """Two systems compared on the segments in which at least one of them made an error.

    Attributes:
        segments: their number.
        mean: errors of the first system minus those of the second, per segment.
        std: standard deviation of that difference between segments (with ``segments - 1``).
    """

    segments: int
    mean: float
    std: float

    @property
    def z(self) -> float:
        """The mean over its standard error; 0, as NIST has it, where all segments have the same difference."""
        return self.mean / (self.std / math.sqrt(self.segments)) if self.std else 0.0

    @property
    def p(self) -> float:
        """Probability of a z at least as far from 0 if the systems were equally good (two-sided, normal)."""
        return math.erfc(abs(self.z) / math.sqrt(2))

    def detectable(self, alpha: float, words: int) -> float | None:
        """Smallest difference between the two word error rates that this test would have called significant.

        With n segments and the standard deviation s seen, z exceeds its critical value c where the difference of all
        errors, n times the mean, exceeds ``c * s * sqrt(n)``.

        Args:
            alpha: level of the two-sided test.
            words: in the references.

        Returns:
            The difference in errors per hundred words; None where the segments do not differ and so cannot tell.
        """
        if not self.std:
            return None
        critical = -NormalDist().inv_cdf(alpha / 2)
        return 100.0 * critical * self.std * math.sqrt(self.segments) / words


def mapsswe(first: Iterable[str], second: Iterable[str]) -> MatchedPairs:
    """Compares two systems on the same utterances.

    An utterance is cut into segments wherever both systems got at least two words in a row right, and nothing was
    inserted between these. A segment without an error of either system is left out. Sources: L. Gillick and S. J. Cox,
    Some statistical issues in the comparison of speech recognition algorithms, ICASSP 1989; D. S. Pallett et al., Tools
    for the analysis of benchmark speech recognition tests, ICASSP 1990. The mean is taken to be normally distributed,
    which a handful of segments does not justify.

    Args:
        first: the first system's alignments with the references, one an utterance, as the letters of ``edits``.
        second: the second system's, in the same order.

    Returns:
        The comparison; without any error of either system, one of no segments.
    """
    segments = [segment for pair in zip(first, second, strict=True) for segment in _segments(*pair)]
    if not segments:
        return MatchedPairs(0, 0.0, 0.0)
    differences = np.array([one - other for one, other in segments])
    std = differences.std(ddof=1).item() if len(segments) > 1 else 0.0
    return MatchedPairs(len(segments), differences.mean().item(), std)


def _segments(first: str, second: str) -> Iterator[tuple[int, int]]:
    """Errors of both systems in each segment of one utterance that has any."""
    errors, good = (0, 0), 0
    for one, other in zip(_words(first), _words(second), strict=True):
        errors = errors[0] + len(one.rstrip("C.")), errors[1] + len(other.rstrip("C."))
        if one[-1] == other[-1] == "C":
            good = good + 1 if one == other == "C" else 1
        else:
            good = 0
        if good == GOOD_WORDS and any(errors):
            yield errors
            errors = (0, 0)
    if any(errors):
        yield errors


def _words(letters: str) -> list[str]:
    """For each word of the reference the insertions before it and its own letter; last, those after all words."""
    return re.findall("I*[^I]", letters + ".")
