"""Encoder and decoder that choose together: which values of the one go with which of the other."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

from allinone.subnet.config import FULL_PRECISION, LayerConfig, SubnetConfig
from allinone.subnet.zeros import sparsity_name

T = TypeVar("T")
Choices = tuple[int, ...]
Shares = tuple[float, ...]
Groups = tuple[int | None, ...]


@dataclass(frozen=True)
class Pairs:
    """The values that go together in each dimension, the encoder's first: the k-th of both.

    A single value goes with all values of the other side, and so does none of ``heads``, which stands for all heads,
    none of ``sparsities``, which stands for no zeros, and none of ``scale_groups``, which stands for the scales that
    the run's quantiser says; at full precision there are no groups.

    Args:
        depths: of the encoder, and of the decoder; sorted, as everywhere here.
        widths: likewise.
        heads: likewise.
        bits: likewise.
        sparsities: likewise.
        group: the M of N:M, of both; None if zeros lie otherwise.
        scale_groups: as the others.

    Raises:
        ValueError: if two sides have several values each, and not equally many.
    """

    depths: tuple[Choices, Choices]
    widths: tuple[Choices, Choices]
    heads: tuple[Choices, Choices]
    bits: tuple[Choices, Choices]
    sparsities: tuple[Shares, Shares] = ((), ())
    group: int | None = None
    scale_groups: tuple[Groups, Groups] = ((), ())

    def __post_init__(self) -> None:
        for dimension in ("depths", "widths", "heads", "bits", "sparsities", "scale_groups"):
            encoder, decoder = getattr(self, dimension)
            if len(encoder) != len(decoder) and min(len(encoder), len(decoder)) > 1:
                raise ValueError(
                    f"Encoder and decoder that choose together require equally many {dimension}, or a single value on "
                    f"one side; found {list(encoder)} of the encoder and {list(decoder)} of the decoder. Make the "
                    "lists equally long, or leave space.together out."
                )

    def count(self) -> int:
        """How many members there are."""
        return len(_pairs(*self.depths)) * len(self._layers())

    def members(self) -> Iterator[SubnetConfig]:
        """From the largest to the smallest: by the depths of both, then their widths, heads, bits and so on."""
        layers = self._layers()
        for depth, above in reversed(_pairs(*self.depths)):
            for layer, over in reversed(layers):
                yield SubnetConfig((layer,) * depth, (over,) * above)

    def sample(self, generator: random.Random) -> SubnetConfig:
        """A random member, every one as likely as any other."""
        depth, above = generator.choice(_pairs(*self.depths))
        layer, over = generator.choice(self._layers())
        return SubnetConfig((layer,) * depth, (over,) * above)

    def __str__(self) -> str:
        """What a member may have, for messages: ``4_2`` is 4 of the encoder and 2 of the decoder."""
        depths, widths, bits = (_either(_pairs(*values)) for values in (self.depths, self.widths, self.bits))
        heads = f", {_either(_or_none(*self.heads))} heads" if any(self.heads) else ""
        rest = f" and {bits} bits"
        if any(self.sparsities):
            names = [tuple(sparsity_name(each, self.group) for each in pair) for pair in self._sparsities()]
            rest = f", {bits} bits and a sparsity of {' or '.join(map('_'.join, names))}"
        if any(self.scale_groups):
            rest += f", below {FULL_PRECISION} bits a scale for {_either(_or_none(*self.scale_groups))} inputs"
        return (
            f"a depth of {depths}, a width of {widths}{heads}{rest}, the same in every layer (those of the encoder, "
            "and after an underscore those of the decoder that goes with it)"
        )

    def _layers(self) -> list[tuple[LayerConfig, LayerConfig]]:
        """The smallest first, each once: by width, heads, bits, scale groups, then sparsity."""
        chosen = product(
            _pairs(*self.widths),
            _or_none(*self.heads),
            _pairs(*self.bits),
            _or_none(*self.scale_groups),
            reversed(self._sparsities()),
        )
        both = (tuple(self._layer(*each) for each in zip(*pairs, strict=True)) for pairs in chosen)
        return list(dict.fromkeys((encoder, decoder) for encoder, decoder in both))

    def _layer(self, width: int, heads: int | None, bits: int, inputs: int | None, zeros: float) -> LayerConfig:
        inputs = inputs if bits < FULL_PRECISION else None
        return LayerConfig(width, bits, heads, zeros, self.group if zeros else None, inputs)

    def _sparsities(self) -> list[tuple[float, float]]:
        encoder, decoder = self.sparsities
        return _pairs(encoder or (0.0,), decoder or (0.0,))


def _pairs(encoder: tuple[T, ...], decoder: tuple[T, ...]) -> list[tuple[T, T]]:
    length = max(len(encoder), len(decoder))
    stretched = (side * length if len(side) == 1 else side for side in (encoder, decoder))
    return list(zip(*stretched, strict=True))


def _or_none(encoder: Groups, decoder: Groups) -> list[tuple[int | None, int | None]]:
    return _pairs(encoder or (None,), decoder or (None,))


def _either(pairs: Iterable[tuple[int | None, int | None]]) -> str:
    return " or ".join(f"{one or 'all'}_{other or 'all'}" for one, other in pairs)
