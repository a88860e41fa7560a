"""Growth: how much sparsity a step allows, from none at the beginning to all that a space has."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from allinone.subnet.config import LayerConfig, SubnetConfig
from allinone.subnet.space import SearchSpace
from allinone.subnet.zeros import LEVELS


@dataclass(frozen=True)
class CubicGrowth:
    """The largest sparsity grows by the cubic law of Zhu and Gupta (2017, Eq. 1), fast at first.

    After t of n updates it is 1 - (1 - t / n)^3 of the final one. Omni-sparsity (section 3.1) has an interval of 256;
    that it makes 256 updates is our reading of "for 256 steps".

    Args:
        interval: steps from one update to the next; a sampler counts batches.
        updates: how many of them; afterwards all sparsities are allowed.

    Raises:
        ValueError: unless both are whole numbers of 1 or more.
    """

    interval: int = 256
    updates: int = 256

    def __post_init__(self) -> None:
        if any(type(count) is not int or count < 1 for count in (self.interval, self.updates)):
            raise ValueError(
                "Sparsity must grow in whole numbers of updates and steps, 1 or more; found "
                f"updates={self.updates!r} and interval={self.interval!r}. Give such numbers, or leave growth out."
            )

    def allowed(self, step: int, final: int) -> int:
        """The largest threshold at a step, of survival levels: sparsity in steps of 0.005, or dropped weights of N:M.

        Args:
            step: from 0 on.
            final: the largest threshold of the space.
        """
        left = max(self.updates - step // self.interval, 0)
        return final * (self.updates**3 - left**3) // self.updates**3

    def cap(self, members: Iterable[SubnetConfig], step: int, space: SearchSpace) -> tuple[SubnetConfig, ...]:
        """Members with as much of their sparsity as a step allows; those that this makes equal are one.

        A layer of N:M is dense until its own sparsity is allowed.
        """
        smallest = space.smallest
        encoder, decoder = (
            self.allowed(step, max((layer.threshold for layer in layers), default=0))
            for layers in (smallest.layers, smallest.decoder)
        )
        capped = (
            SubnetConfig(
                tuple(_cap(layer, encoder) for layer in member.layers),
                tuple(_cap(layer, decoder) for layer in member.decoder),
            )
            for member in members
        )
        return tuple(dict.fromkeys(capped))


def _cap(layer: LayerConfig, threshold: int) -> LayerConfig:
    if layer.threshold <= threshold:
        return layer
    if layer.group is not None:
        return replace(layer, sparsity=0.0, group=None)
    return replace(layer, sparsity=threshold / LEVELS)
