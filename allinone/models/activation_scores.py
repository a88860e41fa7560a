"""The importance of units, heads and layers by what they do to real speech, and what they do on average."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from allinone.layers import FeedForward
from allinone.models.decoder import DecoderLayer
from allinone.models.importance import Attention, Scores


@dataclass(frozen=True)
class KeptLayers:
    """Which layers of an attention decoder its shallow members keep.

    Attributes:
        ranks: of each layer, ``(layers,)``: a member of d layers has those below d. The first layer's is 0.
        means: of what each layer adds, ``(layers, dim)``.
    """

    ranks: Tensor
    means: Tensor


@dataclass(frozen=True)
class Activations:
    """What was seen of the units and heads of a network that heard speech.

    Attributes:
        scores: the importance of each, ``(units,)`` or ``(heads,)`` by the names of modules.
        means: of what each unit, or each entry of each head, says: ``(inputs,)`` by the names of the weights it feeds.
        layers: of its attention decoder; None if none was heard.
    """

    scores: Scores
    means: dict[str, Tensor]
    layers: KeptLayers | None


@torch.no_grad()
def activations(network: nn.Module, listen: Callable[[], object]) -> Activations:
    """The importance of each unit and each head by the size of what it adds to the frames that the network hears.

    That is the root mean square, over all frames, of the L2 norm of a unit's or a head's part in its module's output:
    of unit j with the activation h_j and the column w_j of the weights out of it, rms(h_j) * |w_j|, the measure that
    Wanda has for single weights (Sun et al. 2024, Eq. 1), taken for a whole column.

    The layers of an attention decoder are ranked by what would be missed if one were left out and its mean kept: the
    variance of what it adds, over the mean square of what it then says. The first one, which reads the embedding,
    always comes first.

    Args:
        network: a trained one.
        listen: lets it hear speech; without padding, which would count, too.
    """
    sums: Scores = {}
    totals: Scores = {}
    frames: dict[str, int] = {}

    def observe(
        name: str, out: str, squares: Callable[[Tensor], Tensor], _: nn.Module, inputs: tuple[Any, ...]
    ) -> None:
        x = inputs[0].flatten(0, -2).float()
        sums[name] = sums.get(name, 0) + squares(x)
        totals[f"{name}.{out}.weight"] = totals.get(f"{name}.{out}.weight", 0) + x.sum(0)
        frames[name] = frames.get(name, 0) + len(x)

    added: dict[str, _Added] = {}

    def observe_layer(name: str, _: nn.Module, inputs: tuple[Any, ...], x: Tensor) -> None:
        added.setdefault(name, _Added()).observe(inputs[0].flatten(0, -2).float(), x.flatten(0, -2).float())

    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, DecoderLayer):
            hooks.append(module.register_forward_hook(partial(observe_layer, name)))
        elif isinstance(module, FeedForward):
            hooks.append(
                module.down.register_forward_pre_hook(partial(observe, name, "down", partial(_of_units, module)))
            )
        elif isinstance(module, Attention):
            hooks.append(
                module.output.register_forward_pre_hook(partial(observe, name, "output", partial(_of_heads, module)))
            )
    try:
        listen()
    finally:
        for hook in hooks:
            hook.remove()
    return Activations(
        scores={name: (total / frames[name]).sqrt() for name, total in sums.items()},
        means={name: total / frames[name.rsplit(".", 2)[0]] for name, total in totals.items()},
        layers=_ranked(list(added.values())) if added else None,
    )


class _Added:
    """Sums over frames of what a layer adds to them."""

    def __init__(self) -> None:
        self.frames: int = 0
        self.total: Tensor | float = 0.0
        self.square: Tensor | float = 0.0
        self.power: Tensor | float = 0.0

    def observe(self, before: Tensor, after: Tensor) -> None:
        added = after - before
        self.frames += len(added)
        self.total, self.square = self.total + added.sum(0), self.square + added.square().sum()
        self.power = self.power + after.square().sum()

    @property
    def mean(self) -> Tensor:
        return torch.as_tensor(self.total) / self.frames

    @property
    def missed(self) -> float:
        """Variance of what is added, over the mean square of what is said."""
        return float((self.square / self.frames - self.mean.square().sum()) / (self.power / self.frames))


def _ranked(layers: Sequence[_Added]) -> KeptLayers:
    order = [0, *sorted(range(1, len(layers)), key=lambda index: -layers[index].missed)]
    return KeptLayers(torch.tensor(order).argsort(), torch.stack([layer.mean for layer in layers]))


def _of_units(module: FeedForward, x: Tensor) -> Tensor:
    """Squared norms of what units add, summed over ``(frames, units)``."""
    return x.square().sum(0) * module.down.weight.square().sum(0)


def _of_heads(module: Attention, x: Tensor) -> Tensor:
    """Squared norms of what heads add, summed over ``(frames, heads * head_dim)``."""
    outputs = module.output.weight.unflatten(1, (-1, module.head_dim))  # (dim, heads, head_dim)
    return torch.einsum("fhc,dhc->fhd", x.unflatten(1, (-1, module.head_dim)), outputs).square().sum((0, 2))
