"""The sizes of a streaming Emformer transducer (Shi et al. 2021), as a value; its code is yet to come."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from allinone.models.inventory import FEATURE_FRAMES, Inventory, check_front_end_bits
from allinone.subnet import Cost, LayerConfig, SubnetConfig, TensorSpec


@dataclass(frozen=True)
class EmformerTransducerLayout:
    """The sizes of a transducer whose transcriber (encoder) is a stack of Emformer layers between two linear maps.

    A segment of frames is encoded at once, with some frames to its right, which the next segment encodes again, and
    with what was computed of the frames to its left. Predictor and joiner have the precision of the first layer; the
    papers' rule counts them (77 MB at 8 bits, Omni-sparsity, Table 1), but they have no zeros.

    Args:
        num_layers: layers of the largest network.
        units: dimension of the layers: that of one feature frame behind the first linear map, times ``stack``.
        ffn_dim: feed-forward width of the largest network.
        num_heads: attention heads of the largest network.
        dim: dimension that transcriber and predictor hand to the joiner.
        stack: feature frames that are put together before the layers.
        symbol_dim: dimension of the predictor's labels and of its cells.
        predictor_layers: recurrent layers of the predictor, of normalised LSTM.
        num_symbols: labels, the blank included.
        segment: feature frames that are encoded at once.
        right_context: feature frames to the right of a segment that are heard, too.
        left_context: encoder frames to the left of a segment that are attended to.
        bands: feature bands.
        front_end_bits: precision of the first linear map; None means that of the member.

    Raises:
        ValueError: if one of these sizes does not divide another that it has to.
    """

    counts_head: ClassVar[bool] = False
    own_output: ClassVar[bool] = True

    num_layers: int
    units: int
    ffn_dim: int
    num_heads: int
    dim: int
    stack: int
    symbol_dim: int
    predictor_layers: int
    num_symbols: int
    segment: int
    right_context: int
    left_context: int
    bands: int = 80
    front_end_bits: int | None = None

    def __post_init__(self) -> None:
        check_front_end_bits(self.front_end_bits)
        for name, size, divisor in (
            ("units", self.units, "num_heads"),
            ("units", self.units, "stack"),
            ("segment", self.segment, "stack"),
            ("right_context", self.right_context, "stack"),
        ):
            parts = getattr(self, divisor)
            if parts < 1 or size % parts:
                raise ValueError(
                    f"An Emformer requires {name} to be a multiple of {divisor}; found {name}={size} and "
                    f"{divisor}={parts}. Change one of them."
                )

    @property
    def ten_seconds(self) -> int:
        """Feature frames of 10 s."""
        return FEATURE_FRAMES

    def build(self, subnet: SubnetConfig) -> Any:
        """Raises ValueError: there is no code yet."""
        raise ValueError(
            f"A network must have code to be built; found an {type(self).__name__}, of which only the sizes are known. "
            "Count its members with `allinone subnets`, or choose another network, such as network=conformer_small."
        )

    def frames(self, feature_frames: int) -> int:
        """Encoder frames of so many feature frames."""
        return feature_frames // self.stack

    def products(self, subnet: SubnetConfig) -> Cost:
        """Queries with keys, attention with values, segment by segment."""
        queries = (self.segment + self.right_context) // self.stack
        each = 2 * queries * (self.left_context + queries) * self.units // self.num_heads
        segments = self.ten_seconds / self.segment
        return Cost(macs=sum(map(self._heads, subnet.layers)) * each * segments / 10)

    def tensors(self, subnet: SubnetConfig) -> Iterator[TensorSpec]:
        """All tensors of a member.

        Multiply-accumulates of predictor and joiner are not counted: they grow with the text and with the search.
        """
        first, last = subnet.layers[0], subnet.layers[-1]
        heard = self.ten_seconds * (1 + self.right_context / self.segment)  # frames, those heard twice included
        front = replace(Inventory.beside("front_end", first, self.front_end_bits), threshold=first.threshold)
        yield front.tensor("linear.weight", (self.units // self.stack, self.bands), heard)
        for index, layer in enumerate(subnet.layers):
            yield from self._layer(Inventory.layer(index, layer), layer, heard / self.stack)
        output = replace(Inventory.beside("output", last), threshold=last.threshold)
        yield from output.weight_and_bias("linear", (self.dim, self.units), self.ten_seconds / self.stack)
        yield from output.norm("norm", self.dim)
        yield from self._predictor(Inventory("predictor", first.bits))
        yield from Inventory("joiner", first.bits).weight_and_bias("linear", (self.num_symbols, self.dim), 0)

    def _layer(self, layer: Inventory, config: LayerConfig, uses: float) -> Iterator[TensorSpec]:
        inner = self._heads(config) * self.units // self.num_heads
        yield from layer.norm("attention_norm", self.units)
        for projection in ("query", "key", "value"):
            yield from layer.weight_and_bias(f"attention.{projection}", (inner, self.units), uses)
        yield from layer.weight_and_bias("attention.output", (self.units, inner), uses)
        yield from layer.norm("feed_forward_norm", self.units)
        yield from layer.weight_and_bias("feed_forward.up", (config.width, self.units), uses)
        yield from layer.weight_and_bias("feed_forward.down", (self.units, config.width), uses)
        yield from layer.norm("final_norm", self.units)

    def _predictor(self, predictor: Inventory) -> Iterator[TensorSpec]:
        dim, gates = self.symbol_dim, 4 * self.symbol_dim
        yield predictor.tensor("embedding.weight", (self.num_symbols, dim))
        yield from predictor.norm("embedding_norm", dim)
        for index in range(self.predictor_layers):
            yield predictor.tensor(f"layers.{index}.input.weight", (gates, dim))
            yield predictor.tensor(f"layers.{index}.recurrent.weight", (gates, dim))
            yield from predictor.norm(f"layers.{index}.gate_norm", gates)
            yield from predictor.norm(f"layers.{index}.cell_norm", dim)
        yield from predictor.weight_and_bias("linear", (self.dim, dim), 0)
        yield from predictor.norm("norm", self.dim)

    def _heads(self, config: LayerConfig) -> int:
        return self.num_heads if config.heads is None else config.heads
