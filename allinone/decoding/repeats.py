"""A guard against loops, in which attention decoders can be caught: no run of labels stands too often in a row."""

import math

from torch import Tensor

LONGEST_RUN = 10  # labels


def forbid_repeats(totals: Tensor, texts: Tensor, most: int) -> None:
    """Sets to ``-inf`` what would complete one repetition too many of the last 1, 2, ..., 10 labels.

    Of a run of ``n`` labels only the last label of the repetition is forbidden: words may begin as those before them
    did. So at most one label for each ``n`` is, and never the end.

    Args:
        totals: of each hypothesis with one more label, ``(batch, hypotheses, vocab)``; changed in place.
        texts: the hypotheses, ``(batch, hypotheses, labels)``.
        most: how many times a run may stand in a row, at least 1.
    """
    for run in range(1, LONGEST_RUN + 1):
        span = (most + 1) * run - 1  # with one more label, a run too many
        if span > texts.shape[-1]:
            return
        tail = texts[..., -span:]
        repeats = (tail[..., run:] == tail[..., :-run]).all(-1, keepdim=True)
        label = texts[..., -run, None]
        totals.scatter_(-1, label, totals.gather(-1, label).masked_fill(repeats, -math.inf))
