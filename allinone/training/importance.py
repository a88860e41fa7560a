"""Importance order at the start of a training: by weights, or by what units and heads do to real speech."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from allinone.data.batch import Batch
from allinone.models.activation_scores import activation_scores
from allinone.models.importance import Orders, head_norms, sort_by_importance, unit_norms

RANKINGS = ("weights", "activations")


def sort_units_and_heads(
    network: nn.Module,
    *,
    units: bool,
    heads: bool,
    hear: Callable[[Tensor, Tensor], object],
    batches: Iterable[Batch] | None = None,
) -> Orders:
    """Sorts the units of feed-forward modules and whole attention heads, without changing what a network computes.

    Args:
        network: a trained one.
        units: whether units are sorted.
        heads: whether heads are.
        hear: lets the network hear waveforms ``(batch, samples)`` of so many valid samples ``(batch,)``.
        batches: what decides on the order; None sorts by the norms of weights. So are modules sorted, in either
            case, that have no part in hearing, such as those of an attention decoder.

    Returns:
        What was sorted, as :func:`allinone.models.importance.sort_by_importance` says it.
    """
    scores = (unit_norms(network) if units else {}) | (head_norms(network) if heads else {})

    def listen() -> None:
        for batch in batches or ():
            for row in range(len(batch)):
                alone = batch.select([row])
                hear(alone.waveforms, alone.lengths)

    if batches is not None and scores:
        training = network.training
        heard = activation_scores(network.eval(), listen)
        network.train(training)
        scores |= {name: score for name, score in heard.items() if name in scores}
    with torch.no_grad():
        return sort_by_importance(network, scores)


def check_ranking(ranking: str) -> None:
    """Raises ValueError for a ranking that does not exist."""
    if ranking not in RANKINGS:
        raise ValueError(f"importance must be one of {', '.join(RANKINGS)}; found {ranking!r}. Choose one of these.")
