"""Inventories: the tensors of a network, listed without building it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any, ClassVar, Protocol

from allinone.subnet import BIT_WIDTHS, FULL_PRECISION, Cost, LayerConfig, SubnetConfig, TensorSpec

FEATURE_FRAMES = 998  # of 10 s of audio: windows of 25 ms every 10 ms


class Layout(Protocol):
    """The sizes of an encoder family: a frozen value that lists, counts and (where its code exists) builds members."""

    counts_head: ClassVar[bool]  # whether the papers' rule counts the CTC output of such a network
    own_output: ClassVar[bool]  # whether it says labels by itself, as a transducer does

    @property
    def num_layers(self) -> int: ...
    @property
    def ffn_dim(self) -> int: ...
    @property
    def num_heads(self) -> int: ...
    @property
    def dim(self) -> int: ...
    @property
    def bands(self) -> int: ...
    @property
    def front_end_bits(self) -> int | None: ...
    @property
    def ten_seconds(self) -> int:
        """Feature frames of 10 s of audio."""
        ...

    def build(self, subnet: SubnetConfig) -> Any:
        """An ordinary encoder of a member's size."""
        ...

    def frames(self, feature_frames: int) -> int:
        """Encoder frames of so many feature frames."""
        ...

    def tensors(self, subnet: SubnetConfig) -> Iterator[TensorSpec]:
        """All tensors of a member's encoder."""
        ...

    def products(self, subnet: SubnetConfig) -> Cost:
        """The multiply-accumulates that involve no weights."""
        ...


@dataclass(frozen=True)
class Inventory:
    """Lists the tensors of one part of a network.

    Args:
        part: the name before each tensor's name.
        bits: the part's precision.
        threshold: the survival level below which weights of its linear maps are dropped; None: they never are.
        paper_bits: bits of each weight by the papers' rule; None: those of the precision.
        inputs_per_scale: how many inputs of a matrix share a scale; None: as the quantiser of the run says.
    """

    part: str
    bits: int
    threshold: int | None = None
    paper_bits: float | None = None
    inputs_per_scale: int | None = None

    @classmethod
    def layer(cls, index: int, config: LayerConfig) -> "Inventory":
        """That of a layer, whose linear maps can have zeros, and scales for groups of inputs."""
        return cls(f"layers.{index}", config.bits, config.threshold, config.paper_bits, config.inputs_per_scale)

    @classmethod
    def beside(cls, part: str, config: LayerConfig, own_bits: int | None = None) -> "Inventory":
        """That of a part beside the layers, without zeros, and with the scales that the quantiser of the run says.

        Args:
            part: its name.
            config: the layer whose precision it has; the papers' rule counts it like the layer.
            own_bits: its own precision; None if it has none.
        """
        return cls(part, config.bits, paper_bits=config.paper_bits) if own_bits is None else cls(part, own_bits)

    def tensor(self, name: str, shape: tuple[int, ...], uses: float = 0) -> TensorSpec:
        """One tensor; only matrices are stored with few bits."""
        bits = self.bits if len(shape) > 1 else FULL_PRECISION
        paper_bits = self.bits if self.paper_bits is None else self.paper_bits
        groups = self.inputs_per_scale if len(shape) == 2 else None
        spec = TensorSpec(f"{self.part}.{name}", shape, bits, paper_bits, uses, inputs_per_scale=groups)
        if self.threshold is None or len(shape) != 2 or not name.endswith("weight"):
            return spec
        return replace(spec, prunable=True, threshold=self.threshold)

    def weight_and_bias(self, name: str, shape: tuple[int, ...], uses: float) -> Iterator[TensorSpec]:
        """The two tensors of a linear map or convolution of weight shape ``(output channels, ...)``."""
        yield self.tensor(f"{name}.weight", shape, uses)
        yield self.tensor(f"{name}.bias", shape[:1])

    def norm(self, name: str, dim: int) -> Iterator[TensorSpec]:
        """The two tensors of a norm."""
        yield self.tensor(f"{name}.weight", (dim,))
        yield self.tensor(f"{name}.bias", (dim,))


def head_tensors(layout: Layout, vocab_size: int) -> Iterator[TensorSpec]:
    """The CTC output, which is at full precision in all members."""
    frames, counted = layout.frames(layout.ten_seconds), layout.counts_head
    yield TensorSpec("head.weight", (vocab_size, layout.dim), uses=frames, counted=counted)
    yield TensorSpec("head.bias", (vocab_size,), counted=counted)


def full_precision_bytes(layout: Layout, vocab_size: int, ctc: bool = True) -> float:
    """Bytes, by the papers' rule, of the largest network of a layout at full precision: the 1 of every ratio.

    ``ctc`` says whether there is a CTC output.
    """
    largest = SubnetConfig.uniform(layout.num_layers, layout.ffn_dim, FULL_PRECISION)
    tensors = (*layout.tensors(largest), *(head_tensors(layout, vocab_size) if ctc else ()))
    return sum(4 * prod(spec.shape) for spec in tensors if spec.counted)


def check_front_end_bits(bits: int | None) -> None:
    """Raises ValueError if a front end cannot have that precision."""
    if bits is not None and bits not in BIT_WIDTHS:
        raise ValueError(
            f"The precision of the front end must be one of {', '.join(map(str, BIT_WIDTHS))} bits, or None for "
            f"that of the member; found {bits}. Choose one of these."
        )
