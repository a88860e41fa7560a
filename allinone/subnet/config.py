"""A sub-network of a supernet is a value: how many layers, and how wide, attentive, precise and sparse each is."""

import re
from dataclasses import dataclass, field, replace
from itertools import groupby

from allinone.subnet.zeros import LEVELS, threshold_of, zeros_name

FULL_PRECISION = 32
BIT_WIDTHS = (2, 3, 4, 5, 6, 7, 8, FULL_PRECISION)

_RUN = re.compile(r"(\d+)-(\d+)-(\d+)bit(?:-g(\d+))?(?:-h(\d+))?(?:-s(\d+(?:\.\d+)?)|-(\d+)of(\d+))?")


@dataclass(frozen=True)
class LayerConfig:
    """One layer of a sub-network.

    Args:
        width: hidden units of the layer's feed-forward modules (of both, in a macaron layer).
        bits: bits per weight, 2 to 8, or 32 for full precision.
        heads: attention heads, in a decoder's layer of both its attentions; None means all heads of the network.
        sparsity: the share of the weights of its linear maps that are zero: a multiple of 0.005 below 1, or of N:M the
            dropped weights of a group, (M - N) / M.
        group: the M of N:M, from 2 to 16; None if zeros lie otherwise, or if there are none.
        inputs_per_scale: how many consecutive inputs of each output of its matrices share a scale (sub-channel,
            USM-Lite, section 2.2); None: as the quantiser of the run says. Only layers below 32 bits have scales.

    Attributes:
        threshold: the survival level below which weights are dropped: 200 * sparsity, or M - N of N:M.
    """

    width: int
    bits: int = FULL_PRECISION
    heads: int | None = None
    sparsity: float = 0.0
    group: int | None = None
    inputs_per_scale: int | None = None
    threshold: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"A layer needs a width of at least 1 unit; found {self.width}. Give a positive width.")
        if self.bits not in BIT_WIDTHS:
            raise ValueError(
                f"Bits must be one of {', '.join(map(str, BIT_WIDTHS))}; found {self.bits}. "
                f"Choose one of these ({FULL_PRECISION} is full precision)."
            )
        if self.heads is not None and self.heads < 1:
            raise ValueError(
                f"A layer needs at least 1 attention head; found {self.heads}. Give a positive number of heads, or "
                "None for all of them."
            )
        if self.inputs_per_scale is not None:
            check_scale_group(self.inputs_per_scale, self.bits)
        object.__setattr__(self, "threshold", threshold_of(self.sparsity, self.group))
        object.__setattr__(self, "sparsity", self.threshold / (self.group or LEVELS))  # 0.7 and 0.7 + 1e-12 are equal

    @property
    def paper_bits(self) -> float:
        """Bits of each of its weights by the papers' rule, which counts all parameters of a layer alike.

        One more than its share of the bits for weights of N:M, and of a scale of 32 bits the share of one input
        (USM-Lite, Tables 1 to 3). Other zeros are not counted here, but where they are.
        """
        kept = 1 - self.sparsity if self.group else 1
        scales = 0 if self.inputs_per_scale is None else FULL_PRECISION / self.inputs_per_scale
        return self.bits * kept + scales + (1 if self.group else 0)


def check_scale_group(inputs_per_scale: int, bits: int) -> None:
    """Raises ValueError unless a layer of that precision can have a scale for so many inputs."""
    if type(inputs_per_scale) is not int or inputs_per_scale < 1:
        raise ValueError(
            f"A scale must be that of a whole number of inputs, 1 or more; found {inputs_per_scale!r}. Give such a "
            "number, as 64, or None for the scales of the run's quantiser."
        )
    if bits == FULL_PRECISION:
        raise ValueError(
            f"Only layers of few bits have scales; found one for every {inputs_per_scale} inputs at {bits} bits. "
            "Leave the group out, or give fewer bits."
        )


@dataclass(frozen=True)
class SubnetConfig:
    """A sub-network: the configuration of each of its layers, bottom first.

    Its depth is the number of its encoder's layers. Two sub-networks are the same exactly if they are equal values,
    and exactly if their names are equal.

    Args:
        layers: of the encoder.
        decoder: of the attention decoder; none means that the decoder, if the network has one, is whole and at full
            precision.
    """

    layers: tuple[LayerConfig, ...]
    decoder: tuple[LayerConfig, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        object.__setattr__(self, "decoder", tuple(self.decoder))
        if not self.layers:
            raise ValueError("A sub-network needs at least one layer; found none. Give a LayerConfig for each layer.")

    @classmethod
    def uniform(
        cls,
        depth: int,
        width: int,
        bits: int = FULL_PRECISION,
        heads: int | None = None,
        sparsity: float = 0.0,
        group: int | None = None,
    ) -> "SubnetConfig":
        """The sub-network of ``depth`` equal layers, with the whole decoder."""
        return cls((LayerConfig(width, bits, heads, sparsity, group),) * depth)

    @classmethod
    def parse(cls, name: str) -> "SubnetConfig":
        """The sub-network that bears a name, as :attr:`name` writes it.

        Raises:
            ValueError: if the name is malformed, or one of its parts has no layers.
        """
        encoder, underscore, decoder = name.partition("_")
        layers, above = _read(encoder, name), _read(decoder, name) if underscore else ()
        if underscore and not above:
            raise ValueError(
                f"The decoder part of a name needs at least one layer; found {name!r}. Leave it out, and the "
                f"underscore: {encoder} has the whole decoder."
            )
        return cls(layers, above)

    @property
    def encoder(self) -> "SubnetConfig":
        """The same encoder with the whole decoder."""
        return SubnetConfig(self.layers)

    @property
    def depth(self) -> int:
        """Number of layers of the encoder."""
        return len(self.layers)

    def with_bits(self, bits: int) -> "SubnetConfig":
        """The same layers at another precision; at full precision without scale groups, as there are no scales.

        Raises:
            ValueError: if there is no such precision.
        """

        def changed(layers: tuple[LayerConfig, ...]) -> tuple[LayerConfig, ...]:
            if bits == FULL_PRECISION:
                return tuple(replace(layer, bits=bits, inputs_per_scale=None) for layer in layers)
            return tuple(replace(layer, bits=bits) for layer in layers)

        return SubnetConfig(changed(self.layers), changed(self.decoder))

    @property
    def is_uniform(self) -> bool:
        """Whether all layers of the encoder are equal, and all of the decoder."""
        return all(len(set(part)) <= 1 for part in (self.layers, self.decoder))

    @property
    def name(self) -> str:
        """The canonical name: ``12-2048-8bit``, or with a decoder part ``12-2048-8bit_6-1024-4bit``.

        In each part, runs of equal layers, bottom first, are joined by ``+``. Layers with a number of heads say it:
        ``4-512-8bit-h4+2-256-4bit-h2``, ``4-1536-8bit-h6_2-768-4bit-h4``. Layers with zeros end in how many they have,
        in per cent or as N:M: ``12-2048-8bit-s50``, ``4-512-4bit-h2-s62.5``, ``12-2048-4bit-2of4``. Layers with scales
        of their own say how many inputs share one: ``32-6144-2bit-g96``, ``4-512-4bit-g16-h2-2of4``.
        """
        return "_".join(_write(part) for part in (self.layers, self.decoder) if part)

    def __str__(self) -> str:
        return self.name


def runs(layers: tuple[LayerConfig, ...]) -> list[tuple[int, LayerConfig]]:
    """Runs of equal layers, bottom first: how many, and which."""
    return [(len(list(group)), layer) for layer, group in groupby(layers)]


def _write(layers: tuple[LayerConfig, ...]) -> str:
    return "+".join(f"{count}-{_write_layer(layer)}" for count, layer in runs(layers))


def _write_layer(layer: LayerConfig) -> str:
    heads = "" if layer.heads is None else f"h{layer.heads}"
    scales = "" if layer.inputs_per_scale is None else f"g{layer.inputs_per_scale}"
    parts = (str(layer.width), f"{layer.bits}bit", scales, heads, zeros_name(layer.threshold, layer.group))
    return "-".join(part for part in parts if part)


def _read(part: str, name: str) -> tuple[LayerConfig, ...]:
    """The layers of a part of a name."""
    layers: list[LayerConfig] = []
    for run in part.split("+"):
        match = _RUN.fullmatch(run)
        if match is None:
            raise ValueError(
                "The name of a sub-network is depth-width-bits, such as 12-2048-8bit, with the number of inputs that "
                "share a scale where members differ in it, such as 12-2048-2bit-g64, with a number of attention heads "
                "where they are elastic, such as 12-2048-8bit-h4, and with the zeros of a sparse one in per cent or as "
                "N of M weights that are kept, such as 12-2048-8bit-s50 or 12-2048-8bit-2of4; or several such runs of "
                "layers joined by +, such as 2-1024-8bit+4-512-4bit; a decoder part of the same form may follow after "
                f"an underscore, such as 12-2048-8bit_6-1024-4bit; found {name!r}. Write it in that form."
            )
        count, width, bits = map(int, match.group(1, 2, 3))
        scales, heads = (None if match[index] is None else int(match[index]) for index in (4, 5))
        layers += [LayerConfig(width, bits, heads, *_zeros(*match.group(6, 7, 8)), scales)] * count
    return tuple(layers)


def _zeros(per_cent: str | None, kept: str | None, group: str | None) -> tuple[float, int | None]:
    """Sparsity and group, as a name writes them."""
    if kept is not None and group is not None:
        return 1 - int(kept) / max(int(group), 1), int(group)
    return float(per_cent or 0) / 100, None
