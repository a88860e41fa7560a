"""Survival levels: one byte for each weight that says up to which sparsity it is kept."""

from collections.abc import Sequence

import torch
from torch import Tensor

from allinone.sparsity.patterns import LEVELS, Pattern, misfit


def survival_levels(scores: Tensor, pattern: Pattern, dim: int = 0, ends: Sequence[int] = ()) -> Tensor:
    """The survival level of each weight: a member that drops all below a threshold keeps the best ones.

    A level is a rank in steps of half a per cent, 0 to 199, taken among the blocks of a width band, so that a prefix is
    as sparse as it says; of N:M it is the rank within the group, 0 to M - 1. A weight is kept at sparsity s if its
    level is at least 200 s (of N:M, M - N): what is kept at a higher sparsity is kept at a lower one, also at one that
    was never sampled. Equal scores give equal levels on every machine: the later of two equals survives.

    Args:
        scores: how much each weight matters, ``(outputs, inputs)``.
        pattern: what is kept or dropped together.
        dim: along which dimension narrower members have a prefix.
        ends: entries of that dimension that the members have, from the narrowest on; none for a matrix that is the
            same in all members.

    Returns:
        uint8, shaped like the scores.

    Raises:
        ValueError: if a score is not finite, or blocks or groups do not divide a band.
    """
    if not scores.isfinite().all():
        raise ValueError(
            "Scores of weights must be finite; found NaN or infinity. This training has diverged: lower optimizer.lr, "
            "or go back to an earlier checkpoint."
        )
    ends = sorted({*ends, scores.shape[dim]})
    bands = scores.split([end - start for start, end in zip([0, *ends], ends, strict=False)], dim)
    return torch.cat([_band_levels(band, pattern) for band in bands], dim)


def _band_levels(scores: Tensor, pattern: Pattern) -> Tensor:
    """The levels of the weights of one band."""
    if (wrong := misfit(pattern, scores.shape)) is not None:
        raise ValueError(f"A pattern must divide every width band of a matrix; found that {wrong}. Choose other sizes.")
    if pattern.group is not None:
        return _ranks(scores.unflatten(1, (-1, pattern.group))).to(torch.uint8).flatten(1)
    pooled = pattern.pooled(scores)
    levels = _ranks(pooled.flatten()).mul_(LEVELS).div_(pooled.numel(), rounding_mode="floor").to(torch.uint8)
    rows, columns = pattern.unit
    return levels.view_as(pooled).repeat_interleave(rows, 0).repeat_interleave(columns, 1)


def _ranks(scores: Tensor) -> Tensor:
    """The rank of each entry along the last dimension, from 0 for the least; of equals the first one is less."""
    order = scores.sort(dim=-1, stable=True).indices
    places = torch.arange(scores.shape[-1], device=scores.device).expand_as(order)
    return torch.empty_like(order).scatter_(-1, order, places)
