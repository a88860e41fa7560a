"""The search space: which sub-networks one supernet contains."""

import difflib
import random
from collections.abc import Iterator
from dataclasses import dataclass

from allinone.subnet.config import LayerConfig, SubnetConfig


@dataclass(frozen=True)
class SearchSpace:
    """All sub-networks over the given depths, feed-forward widths and bit-widths.

    Args:
        depths: numbers of layers; a sub-network of depth d is made of the first d layers.
        widths: hidden units of the feed-forward modules.
        bits: bits per weight; 32 is full precision.
        layerwise: whether each layer chooses its width and bits alone, or all layers of a sub-network agree.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    bits: tuple[int, ...] = (32,)
    layerwise: bool = False
    decoder: "SearchSpace | None" = None

    def __post_init__(self) -> None:
        for dimension in ("depths", "widths", "bits"):
            values = tuple(sorted(set(getattr(self, dimension))))
            object.__setattr__(self, dimension, values)
            if not values:
                raise ValueError(f"A search space needs at least one value for its {dimension}; found none. Add one.")
        if self.depths[0] < 1:
            raise ValueError(f"Depths must be at least 1 layer; found {self.depths[0]}. Give positive depths.")
        for layer in self._layer_choices():  # a LayerConfig checks its own width and bits
            assert layer

    @property
    def largest(self) -> SubnetConfig:
        """The member with the most layers, units and bits: the teacher of all others."""
        return SubnetConfig.uniform(self.depths[-1], self.widths[-1], self.bits[-1])

    @property
    def smallest(self) -> SubnetConfig:
        """The member with the fewest layers, units and bits."""
        return SubnetConfig.uniform(self.depths[0], self.widths[0], self.bits[0])

    def count(self) -> int:
        """How many different members there are."""
        choices = len(self.widths) * len(self.bits)
        return sum(choices**depth if self.layerwise else choices for depth in self.depths)

    def uniform_members(self) -> Iterator[SubnetConfig]:
        """The members whose layers are all equal, from the largest to the smallest: by depth, then width, then bits."""
        for depth in reversed(self.depths):
            for width in reversed(self.widths):
                for bits in reversed(self.bits):
                    yield SubnetConfig.uniform(depth, width, bits)

    def sample(self, generator: random.Random) -> SubnetConfig:
        """A random member: a uniform depth, then uniform choices of width and bits (per layer if layer-wise)."""
        depth = generator.choice(self.depths)
        choices = self._layer_choices()
        if self.layerwise:
            return SubnetConfig(tuple(generator.choice(choices) for _ in range(depth)))
        return SubnetConfig((generator.choice(choices),) * depth)

    def __contains__(self, subnet: SubnetConfig) -> bool:
        return (
            subnet.depth in self.depths
            and all(layer.width in self.widths and layer.bits in self.bits for layer in subnet.layers)
            and (self.layerwise or subnet.is_uniform)
        )

    def parse(self, name: str) -> SubnetConfig:
        """The member of that name; ``largest`` and ``smallest`` are names too.

        Raises:
            ValueError: if the name is malformed, or names no member; the nearest names are told.
        """
        if name in ("largest", "smallest"):
            return self.largest if name == "largest" else self.smallest
        subnet = SubnetConfig.parse(name)
        if subnet not in self:
            names = [member.name for member in self.uniform_members()]
            nearest = difflib.get_close_matches(name, names, n=3, cutoff=0.0)
            raise ValueError(
                f"A member of this search space has a depth of {_either(self.depths)}, a width of "
                f"{_either(self.widths)} and {_either(self.bits)} bits"
                f"{'' if self.layerwise else ', the same in every layer'}; found {name!r}. "
                f"The nearest names are {', '.join(nearest)}."
            )
        return subnet

    def _layer_choices(self) -> list[LayerConfig]:
        return [LayerConfig(width, bits) for width in self.widths for bits in self.bits]


def _either(values: tuple[int, ...]) -> str:
    return " or ".join(map(str, values))
