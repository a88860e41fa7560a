"""Importance order: trained units and heads are sorted once, so that a smaller member keeps the strongest ones."""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from allinone.layers import FeedForward, LabelAttention, RelativeSelfAttention, RotarySelfAttention
from allinone.layers.axes import Axis
from allinone.layers.self_attention import SelfAttention

Scores = dict[str, Tensor]  # of each unit or head, by the name of its module in the network
Orders = dict[str, list[tuple[int, Tensor]]]  # what was sorted of each parameter: dimensions, and their entries
Attention = RelativeSelfAttention | RotarySelfAttention | SelfAttention | LabelAttention


@torch.no_grad()
def unit_norms(network: nn.Module) -> Scores:
    """The importance of each unit of every feed-forward module, by its weights.

    It is the product of the L2 norms of the weights into and out of a unit, as All-in-one keeps the rows and columns
    of large L2 norm (section 3.2).

    Returns:
        For each module ``(units,)``.
    """
    return {
        name: module.up.weight.norm(dim=1) * module.down.weight.norm(dim=0)
        for name, module in network.named_modules()
        if isinstance(module, FeedForward)
    }


@torch.no_grad()
def head_norms(network: nn.Module) -> Scores:
    """The importance of each head of every attention module, by its weights.

    It is the L2 norm of what a head makes of the frames that it attends to, the product of its value and output
    projections (the OV matrix of Elhage et al. 2021). Of a single row and column that norm is the product of theirs:
    the same measure as a unit's. Unlike the product of the norms of both projections it does not depend on the basis
    in which a head computes.

    Returns:
        For each module ``(heads,)``.
    """
    scores = {}
    for name, module in network.named_modules():
        if isinstance(module, Attention):
            values = module.value.weight.unflatten(0, (-1, module.head_dim))  # (heads, head_dim, dim)
            outputs = module.output.weight.unflatten(1, (-1, module.head_dim)).transpose(0, 1)  # (heads, dim, head_dim)
            # |OV|^2 = trace(V^T O^T O V) = sum(O^T O * V V^T), without a matrix of (dim, dim) for each head
            squares = (outputs.mT @ outputs * (values @ values.mT)).sum((1, 2))
            scores[name] = squares.clamp(min=0).sqrt()
    return scores


@torch.no_grad()
def sort_by_importance(network: nn.Module, scores: Mapping[str, Tensor]) -> Orders:
    """Sorts units and heads, the highest scores first, without changing what the network computes.

    To be called on trained weights, before scales and optimiser exist.

    Args:
        network: the modules of it that are sorted say which dimensions of their parameters have units or heads.
        scores: of :func:`unit_norms` or :func:`head_norms`, or measured on data: ``(units,)`` or ``(heads,)`` by the
            module's name. A module without scores stays as it is.

    Returns:
        What was sorted: for each parameter of the network the dimension, and which entry stands at each place now.
    """
    orders: Orders = {}
    for name, score in scores.items():
        module = network.get_submodule(name)
        order = score.argsort(descending=True, stable=True)
        for parameter, axis in cast(Mapping[str, Axis], module.axes).items():
            weight = module.get_parameter(parameter)
            assert weight.shape[axis.dim] == len(order) * axis.each, f"{name}.{parameter} has other units or heads"
            entries = (order[:, None] * axis.each + torch.arange(axis.each, device=order.device)).flatten()
            weight.copy_(weight.index_select(axis.dim, entries))
            orders.setdefault(f"{name}.{parameter}" if name else parameter, []).append((axis.dim, entries))
    return orders
