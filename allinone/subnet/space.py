"""The search space: which sub-networks one supernet contains."""

import difflib
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from allinone.subnet.config import FULL_PRECISION, LayerConfig, SubnetConfig, check_scale_group
from allinone.subnet.together import Pairs
from allinone.subnet.zeros import Pattern, sparsity_name


@dataclass(frozen=True)
class SearchSpace:
    """All sub-networks over the given depths, widths, bit-widths, numbers of attention heads and sparsities.

    Args:
        depths: numbers of layers; a sub-network of depth d is made of the first d layers; in an attention decoder of
            those worth most, if that was measured (:class:`allinone.models.elastic_decoder.ElasticDecoder`).
        widths: hidden units of the feed-forward modules.
        bits: bits per weight; 32 is full precision.
        layerwise: whether each layer chooses its width, bits, heads and sparsity alone, or all layers of a sub-network
            agree.
        decoder: the space of the attention decoder: every encoder goes with every one of its members, unless they
            choose together. None leaves the decoder, if the network has one, whole and at full precision.
        heads: numbers of attention heads, elastic as LightHuBERT's (Wang et al. 2022); in a decoder's layer its two
            attentions, to labels and to frames, have as many. None given means that every member has all of them, and
            carries no number; of a space that has some, every member carries its number.
        together: whether encoder and decoder choose together: the k-th smallest depth of the encoder goes with the
            k-th smallest of the decoder, and so do widths, bits, numbers of heads and sparsities; a single value goes
            with all values of the other side. Both must have layers that agree.
        sparsities: shares of zeros, as :class:`LayerConfig` has them. The largest member, which teaches, is dense; all
            others have these sparsities, and 0 only if it is one of them (Omni-sparsity, section 3.1). None given means
            that every member is dense.
        pattern: how zeros lie, the same in encoder and decoder; required with sparsities, None without.
        scale_groups: numbers of inputs that share a scale, of members below 32 bits; None among them stands for the
            scales that the quantiser of the run says, which count as the fewest. None given means that all members have
            these. The largest member has the most scales.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    bits: tuple[int, ...] = (32,)
    layerwise: bool = False
    decoder: "SearchSpace | None" = None
    heads: tuple[int, ...] = ()
    together: bool = False
    sparsities: tuple[float, ...] = ()
    pattern: Pattern | None = None
    scale_groups: tuple[int | None, ...] = ()

    def __post_init__(self) -> None:
        for groups in (size for size in self.scale_groups if size is not None):
            check_scale_group(groups, min(self.bits))
        object.__setattr__(self, "scale_groups", tuple(sorted(set(self.scale_groups), key=_number_of_scales)))
        for dimension in ("depths", "widths", "bits", "heads", "sparsities"):
            values = tuple(sorted(set(getattr(self, dimension))))
            object.__setattr__(self, dimension, values)
            if not values and dimension not in ("heads", "sparsities"):
                raise ValueError(f"A search space needs at least one value for its {dimension}; found none. Add one.")
        if self.depths[0] < 1:
            raise ValueError(f"Depths must be at least 1 layer; found {self.depths[0]}. Give positive depths.")
        self._check_pattern()
        layers = self._layer_choices()  # a LayerConfig checks its own values
        if self.sparsities:
            object.__setattr__(self, "sparsities", tuple(sorted({layer.sparsity for layer in layers})))
        if self.decoder is not None and self.decoder.decoder is not None:
            raise ValueError(
                "The search space of a decoder must have no decoder of its own; found one. Leave out the inner one."
            )
        if self.together:
            self._pairs()  # which check themselves

    @property
    def all_uniform(self) -> bool:
        """Whether :meth:`uniform_members` are all members."""
        return not self.layerwise and (self.decoder is None or not self.decoder.layerwise)

    @property
    def largest(self) -> SubnetConfig:
        """The member with the most layers, units, heads and bits, and without zeros: the teacher of all others."""
        width, bits, heads = self.widths[-1], self.bits[-1], self.heads[-1] if self.heads else None
        layer = LayerConfig(width, bits, heads, inputs_per_scale=self._groups(bits)[-1])
        return SubnetConfig((layer,) * self.depths[-1], () if self.decoder is None else self.decoder.largest.layers)

    @property
    def smallest(self) -> SubnetConfig:
        """The member with the fewest layers, units, heads and bits, and the most zeros."""
        layers = (self._layer_choices()[0],) * self.depths[0]
        return SubnetConfig(layers, () if self.decoder is None else self.decoder.smallest.layers)

    @property
    def ends(self) -> tuple[SubnetConfig, ...]:
        """The largest and the smallest member: one, if they are the same."""
        return tuple(dict.fromkeys((self.largest, self.smallest)))

    def count(self) -> int:
        """How many different members there are."""
        return self._count() + (not self._has(self.largest))

    def uniform_members(self) -> Iterator[SubnetConfig]:
        """The members whose layers are all equal (those of the encoder, and those of the decoder).

        From the largest to the smallest: by depth, then width, heads, bits, scale groups and sparsity of the encoder,
        then likewise of the decoder; if they choose together, by the depths of both, then likewise of both.
        """
        yield self.largest
        yield from (member for member in self._uniform() if member != self.largest)

    def sample(self, generator: random.Random) -> SubnetConfig:
        """A random member: a uniform depth, then uniform choices of all else (per layer if layer-wise).

        The decoder is drawn in the same way after the encoder, or with it if they choose together. The largest is drawn
        only if its sparsity, which is 0, is one of those that all members choose from.
        """
        if self.together:
            return self._pairs().sample(generator)
        depth = generator.choice(self.depths)
        choices = self._layer_choices()
        if self.layerwise:
            layers = tuple(generator.choice(choices) for _ in range(depth))
        else:
            layers = (generator.choice(choices),) * depth
        return SubnetConfig(layers, () if self.decoder is None else self.decoder.sample(generator).layers)

    def __contains__(self, subnet: SubnetConfig) -> bool:
        return subnet == self.largest or self._has(subnet)

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
            lacking = ", and no decoder part" if self.decoder is None and subnet.decoder else ""
            dense = not self.sparsities and (self.decoder is None or not self.decoder.sparsities)
            if dense and any(layer.threshold for layer in (*subnet.layers, *subnet.decoder)):
                lacking += ", and no zeros, as this space has no sparsities"
            apart = "" if self._has(self.largest) else f", or is the largest, {self.largest.name}"
            raise ValueError(
                f"A member of this search space has {self._values()}{lacking}{apart}; found {name!r}. "
                f"The nearest names are {', '.join(nearest)}."
            )
        return subnet

    def _count(self) -> int:
        """How many members have sparsities of the space: all, or all but the largest."""
        if self.together:
            return self._pairs().count()
        choices = len(self._layer_choices())
        encoders = sum(choices**depth if self.layerwise else choices for depth in self.depths)
        return encoders * (1 if self.decoder is None else self.decoder._count())

    def _uniform(self) -> Iterator[SubnetConfig]:
        """Those of them whose layers are all equal, the largest first."""
        if self.together:
            yield from self._pairs().members()
            return
        for depth in reversed(self.depths):
            for layer in reversed(self._layer_choices()):
                if self.decoder is None:
                    yield SubnetConfig((layer,) * depth)
                else:
                    yield from (SubnetConfig((layer,) * depth, above.layers) for above in self.decoder._uniform())

    def _has(self, subnet: SubnetConfig) -> bool:
        """Whether a sub-network is one of them."""
        if self.together:
            return subnet in set(self._pairs().members())
        return (
            subnet.depth in self.depths
            and set(subnet.layers) <= set(self._layer_choices())
            and (self.layerwise or subnet.encoder.is_uniform)
            and self._has_decoder(subnet.decoder)
        )

    def _has_decoder(self, layers: tuple[LayerConfig, ...]) -> bool:
        if self.decoder is None or not layers:
            return self.decoder is None and not layers
        return self.decoder._has(SubnetConfig(layers))

    def _values(self) -> str:
        """What a member may have, for messages."""
        if self.together:
            return str(self._pairs())
        values = f"a depth of {_either(self.depths)}, a width of {_either(self.widths)}"
        if self.heads:
            values += f", {_either(self.heads)} heads"
        if self.sparsities:
            sparsities = _either(sparsity_name(*zeros) for zeros in reversed(self._zeros()))
            values += f", {_either(self.bits)} bits and a sparsity of {sparsities}"
        else:
            values += f" and {_either(self.bits)} bits"
        if self.scale_groups:
            sizes = _either("all" if size is None else size for size in self.scale_groups)
            values += f", below {FULL_PRECISION} bits a scale for {sizes} inputs"
        if not self.layerwise:
            values += ", the same in every layer"
        if self.decoder is not None:
            values += f", and after an underscore a decoder with {self.decoder._values()}"
        return values

    def _layer_choices(self) -> list[LayerConfig]:
        """All that a layer can be, the smallest first: by width, heads, bits, scale groups, then sparsity."""
        numbers_of_heads = self.heads or (None,)
        return [
            LayerConfig(width, bits, heads, sparsity, group, inputs)
            for width in self.widths
            for heads in numbers_of_heads
            for bits in self.bits
            for inputs in self._groups(bits)
            for sparsity, group in self._zeros()
        ]

    def _groups(self, bits: int) -> tuple[int | None, ...]:
        """How many inputs share a scale at a precision, the fewest scales first."""
        return (self.scale_groups or (None,)) if bits < FULL_PRECISION else (None,)

    def _zeros(self) -> list[tuple[float, int | None]]:
        """Sparsities, the largest first, with the M of N:M."""
        group = _group(self.pattern)
        return [(sparsity, group if sparsity else None) for sparsity in reversed(self.sparsities or (0.0,))]

    def _check_pattern(self) -> None:
        if self.sparsities and self.pattern is None:
            raise ValueError(
                f"A search space with sparsities requires a pattern of zeros; found sparsities {list(self.sparsities)} "
                "and none. Add space.pattern, such as {_target_: allinone.sparsity.Blocks}, or leave space.sparsities "
                "out."
            )
        if self.pattern is not None and not self.sparsities:
            raise ValueError(
                f"A pattern of zeros requires sparsities; found {self.pattern} and none. Add space.sparsities, such as "
                "[0.5], or leave space.pattern out."
            )
        patterns = [space.pattern for space in (self, self.decoder) if space is not None and space.pattern is not None]
        if len(patterns) == 2 and patterns[0] != patterns[1]:
            raise ValueError(
                f"Encoder and decoder require one pattern of zeros; found {patterns[0]} and {patterns[1]}. Give "
                "space.decoder.pattern that of the encoder."
            )

    def _pairs(self) -> Pairs:
        """What encoder and decoder choose from if they choose together."""
        if self.decoder is None:
            raise ValueError(
                "Encoder and decoder that choose together require the search space of a decoder; found none. Add "
                "space.decoder, or leave space.together out."
            )
        layerwise = [name for name, part in (("space", self), ("space.decoder", self.decoder)) if part.layerwise]
        if layerwise:
            raise ValueError(
                "Encoder and decoder that choose together require layers that agree; found "
                f"{' and '.join(f'{name}.layerwise=true' for name in layerwise)}. Make that false, or leave "
                "space.together out."
            )
        dimensions = ("depths", "widths", "heads", "bits", "sparsities", "scale_groups")
        pairs = {name: (getattr(self, name), getattr(self.decoder, name)) for name in dimensions}
        return Pairs(**pairs, group=_group(self.pattern or self.decoder.pattern))


def _number_of_scales(inputs: int | None) -> float:
    """Grows with the number of scales that groups of so many inputs make; None is the least."""
    return -math.inf if inputs is None else -inputs


def _group(pattern: Pattern | None) -> int | None:
    return None if pattern is None else pattern.group


def _either(values: Iterable[int | str]) -> str:
    return " or ".join(map(str, values))
