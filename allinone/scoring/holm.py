"""Holm's correction of p values when several comparisons are made at once."""

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects p values so that all comparisons together are wrong at most as often as one alone would be.

    The smallest of m values is multiplied by m, the next by m - 1, and so on; none becomes smaller than the one before
    it or larger than 1. Source: S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal
    of Statistics 6, 1979.

    Args:
        p_values: one for each comparison.

    Returns:
        The corrected values in the same order; a comparison is significant where its value is below alpha.
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected
