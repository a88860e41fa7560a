"""A sub-network of a supernet is a value: how many layers, and how wide and precise each of them is."""

import re
from dataclasses import dataclass
from itertools import groupby

FULL_PRECISION = 32
BIT_WIDTHS = (2, 3, 4, 5, 6, 7, 8, FULL_PRECISION)

_RUN = re.compile(r"(\d+)-(\d+)-(\d+)bit")


@dataclass(frozen=True, order=True)
class LayerConfig:
    """One layer of a sub-network.

    Args:
        width: hidden units of the layer's feed-forward modules (of both, in a macaron layer).
        bits: bits per weight, 2 to 8, or 32 for full precision.
    """

    width: int
    bits: int = FULL_PRECISION

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"A layer needs a width of at least 1 unit; found {self.width}. Give a positive width.")
        if self.bits not in BIT_WIDTHS:
            raise ValueError(
                f"Bits must be one of {', '.join(map(str, BIT_WIDTHS))}; found {self.bits}. "
                f"Choose one of these ({FULL_PRECISION} is full precision)."
            )


@dataclass(frozen=True)
class SubnetConfig:
    """A sub-network: the configuration of each of its layers, bottom first.

    Its depth is the number of its layers. Two sub-networks are the same exactly if they are equal values, and
    exactly if their names are equal.
    """

    layers: tuple[LayerConfig, ...]
    decoder: tuple[LayerConfig, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        object.__setattr__(self, "decoder", tuple(self.decoder))
        if not self.layers:
            raise ValueError("A sub-network needs at least one layer; found none. Give a LayerConfig for each layer.")

    @classmethod
    def uniform(cls, depth: int, width: int, bits: int = FULL_PRECISION) -> "SubnetConfig":
        """The sub-network of ``depth`` equal layers."""
        return cls((LayerConfig(width, bits),) * depth)

    @classmethod
    def parse(cls, name: str) -> "SubnetConfig":
        """The sub-network that bears a name, as :attr:`name` writes it."""
        layers: list[LayerConfig] = []
        for run in name.split("+"):
            match = _RUN.fullmatch(run)
            if match is None:
                raise ValueError(
                    "The name of a sub-network is depth-width-bits, such as 12-2048-8bit, or several such runs of "
                    f"layers joined by +, such as 2-1024-8bit+4-512-4bit; found {name!r}. Write it in that form."
                )
            count, width, bits = map(int, match.groups())
            layers += [LayerConfig(width, bits)] * count
        return cls(tuple(layers))

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.layers)

    @property
    def is_uniform(self) -> bool:
        """Whether all layers are equal."""
        return len(set(self.layers)) == 1

    @property
    def name(self) -> str:
        """The canonical name: ``12-2048-8bit``; runs of equal layers, bottom first, are joined by ``+``."""
        runs = [(layer, len(list(group))) for layer, group in groupby(self.layers)]
        return "+".join(f"{count}-{layer.width}-{layer.bits}bit" for layer, count in runs)

    def __str__(self) -> str:
        return self.name
