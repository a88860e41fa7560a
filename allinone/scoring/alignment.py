"""Word alignment as NIST's sclite makes it: the same weights, and the same choice between equally good alignments."""

from collections.abc import Sequence

import numpy as np

# sclite weighs a substitution with 4, a deletion or an insertion with 3: what a pair of words saves over such two gaps
CORRECT, SUBSTITUTED = np.int32(6), np.int32(2)
INSERTION, DELETION, PAIR = 0, 1, 2


def edits(reference: Sequence[str], hypothesis: Sequence[str]) -> str:
    """Aligns what was heard with what was said.

    The alignment has the least sum of weights: 4 for a substitution, 3 for a deletion or an insertion (the manual of
    sclite). Where several have it, they are followed from the end of both texts, and a pair of words is preferred to a
    gap, an insertion to a deletion: the counts of each kind of error and the segments of the matched-pairs test
    depend on this choice.

    Args:
        reference: words that were said.
        hypothesis: words that were heard.

    Returns:
        One letter for each column of the alignment: C (correct), S (substituted), D (deleted), I (inserted).
    """
    if list(reference) == list(hypothesis):
        return "C" * len(reference)
    moves = _moves(reference, hypothesis)
    row, column, letters = len(reference), len(hypothesis), []
    while row and column:
        move = moves[row - 1][column - 1]
        row -= move != INSERTION
        column -= move != DELETION
        letters.append("ID"[move] if move != PAIR else "C" if reference[row] == hypothesis[column] else "S")
    return "D" * row + "I" * column + "".join(reversed(letters))


def _moves(reference: Sequence[str], hypothesis: Sequence[str]) -> list[bytes]:
    """For each word of the reference a row: how the best alignment up to it and each word heard ends."""
    numbers = {word: number for number, word in enumerate({*reference, *hypothesis})}
    heard = np.array([numbers[word] for word in hypothesis], dtype=np.int32)
    saved, moves = np.zeros(len(hypothesis) + 1, dtype=np.int32), []
    for word in reference:
        paired = saved[:-1] + np.where(heard == numbers[word], CORRECT, SUBSTITUTED)
        best = np.zeros_like(saved)
        np.maximum(paired, saved[1:], out=best[1:])
        np.maximum.accumulate(best, out=best)  # a cell's insertion comes from the cell before it in the same row
        deleted = saved[1:] > best[:-1]
        moves.append(np.where(paired == best[1:], PAIR, deleted.view(np.uint8)).tobytes())
        saved = best
    return moves
