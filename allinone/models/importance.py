"""Importance order: trained feed-forward units are sorted once, so that a narrower member keeps the strongest ones."""

import torch
from torch import nn

from allinone.layers import FeedForward


@torch.no_grad()
def sort_feed_forward_units(network: nn.Module) -> None:
    """Sorts the hidden units of every feed-forward module by importance, without changing what it computes.

    The importance of a unit is the product of the L2 norms of the weights into and out of it, as All-in-one keeps the
    rows and columns of large L2 norm (section 3.2). To be called on trained weights, before scales and optimiser exist.
    """
    for module in network.modules():
        if isinstance(module, FeedForward):
            importance = module.up.weight.norm(dim=1) * module.down.weight.norm(dim=0)
            order = importance.argsort(descending=True, stable=True)
            module.up.weight.copy_(module.up.weight[order])
            module.up.bias.copy_(module.up.bias[order])
            module.down.weight.copy_(module.down.weight[:, order])
