"""Confidence intervals of word error rates and of their differences, by drawing utterances anew (bootstrap)."""

from collections.abc import Sequence

import numpy as np

from allinone.scoring.wer import ErrorCounts

FEWEST = 100  # samples, below which the ends of an interval are guesses
_DRAWN_AT_ONCE = 500_000  # utterances: bounds the memory, and fits a processor's cache


def resampled_rates(counts: Sequence[Sequence[ErrorCounts]], samples: int, seed: int) -> np.ndarray:
    """Word error rates on test sets that might have been drawn as well as the one that was.

    Each sample draws as many utterances as there are, with replacement, and scores every system on them, so that the
    systems stay paired. Source: M. Bisani and H. Ney, Bootstrap estimates for confidence intervals in ASR performance
    evaluation, ICASSP 2004.

    Args:
        counts: for each system the counts of the utterances, in the same order.
        samples: how many samples to draw, at least 100.
        seed: of the draws; the same seed gives the same rates.

    Returns:
        Errors per hundred words (systems, samples). A sample of nothing but empty references has no rate: it is left
        out.

    Raises:
        ValueError: if the samples are too few.
    """
    if samples < FEWEST:
        raise ValueError(f"A bootstrap requires at least {FEWEST} samples; found {samples}. Draw 1000 or more.")
    rows = np.array([[one.words for one in counts[0]], *([one.errors for one in system] for system in counts)])
    utterances = rows.shape[1]
    at_once = max(1, _DRAWN_AT_ONCE // utterances)
    generator = np.random.default_rng(seed)
    sums = []
    for done in range(0, samples, at_once):
        drawn = generator.integers(utterances, size=(min(at_once, samples - done), utterances))
        sums.append([row[drawn].sum(axis=1) for row in rows])
    words, *errors = np.concatenate(sums, axis=1)
    return 100.0 * np.array(errors)[:, words > 0] / words[words > 0]


def interval(values: np.ndarray, alpha: float) -> tuple[float, float]:
    """The two quantiles of samples between which a number lies with confidence ``1 - alpha``."""
    low, high = np.quantile(values, (alpha / 2, 1 - alpha / 2))
    return float(low), float(high)
