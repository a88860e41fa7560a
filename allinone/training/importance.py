"""Importance order at the start of a training: by weights, or by what units and heads do to real speech."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from allinone.data.batch import Batch
from allinone.models.activation_scores import KeptLayers, activations
from allinone.models.importance import Orders, head_norms, sort_by_importance, unit_norms

RANKINGS = ("weights", "activations")


class Sorted(NamedTuple):
    """What was sorted.

    Attributes:
        orders: as :func:`allinone.models.importance.sort_by_importance` says it.
        means: of what units and heads say, in their new order, see
            :class:`allinone.models.activation_scores.Activations`; only if batches were heard.
        layers: which layers of an attention decoder its shallow members keep; None if that was not to be found out.
    """

    orders: Orders
    means: Mapping[str, Tensor]
    layers: KeptLayers | None


def sort_units_and_heads(
    network: nn.Module,
    *,
    units: Collection[str],
    heads: Collection[str],
    hear: Callable[[Batch], object],
    batches: Iterable[Batch] | None = None,
    layers: bool = False,
) -> Sorted:
    """Sorts the units of feed-forward modules and whole attention heads, without changing what a network computes.

    It also finds out which layers of an attention decoder are worth most, if batches are heard.

    Args:
        network: a trained one.
        units: the parts of it, such as ``encoder`` and ``decoder``, whose units are sorted.
        heads: those whose heads are.
        hear: lets the network hear an utterance and, if an attention decoder is sorted, spell what was said.
        batches: what decides on the order; None sorts by the norms of weights.
        layers: whether the attention decoder has members of fewer layers.
    """
    scores = {
        name: score
        for parts, norms in ((units, unit_norms), (heads, head_norms))
        if parts
        for name, score in norms(network).items()
        if name.partition(".")[0] in parts
    }

    def listen() -> None:
        for batch in batches or ():
            for row in range(len(batch)):
                hear(batch.select([row]))

    means: dict[str, Tensor] = {}
    kept = None
    if batches is not None and (scores or layers):
        training = network.training
        heard = activations(network.eval(), listen)
        network.train(training)
        scores, means = {name: heard.scores[name] for name in scores}, heard.means
        kept = heard.layers if layers else None
    with torch.no_grad():
        orders = sort_by_importance(network, scores)
    sorts = {name: dict(orders[name]).get(1) for name in means if name in orders}
    return Sorted(orders, {name: means[name][entries] for name, entries in sorts.items() if entries is not None}, kept)


def check_ranking(ranking: str) -> None:
    """Raises ValueError for a ranking that does not exist."""
    if ranking not in RANKINGS:
        raise ValueError(f"importance must be one of {', '.join(RANKINGS)}; found {ranking!r}. Choose one of these.")
