"""What a sub-network costs: parameters, bytes and multiply-accumulates, counted without building it."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, prod

from allinone.subnet.config import FULL_PRECISION


@dataclass(frozen=True)
class Cost:
    """Costs add up: the cost of a network is the sum of the costs of its tensors.

    Args:
        parameters: number of weights, zeros included.
        bytes: by the rule of the papers: every weight of the compressed part at its bits, nothing else counted but the
            scales of groups that a member's name tells; of weights with zeros those that are kept, without the index
            that tells which (Omni-sparsity), but of N:M, as if all weights had it, with one bit for each (USM-Lite).
        bytes_stored: everything an export writes: packed integers, scales, biases, norms, head; of weights with zeros
            those that are kept, and their index.
        macs: multiply-accumulates per second of audio, averaged over a 10 s utterance. Zeros are multiplied like other
            weights: no runtime that members are exported to has sparse kernels.
    """

    parameters: float = 0
    bytes: float = 0
    bytes_stored: int = 0
    macs: float = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.parameters + other.parameters,
            self.bytes + other.bytes,
            self.bytes_stored + other.bytes_stored,
            self.macs + other.macs,
        )


@dataclass(frozen=True)
class TensorSpec:
    """One tensor of a sub-network, as an inventory lists it.

    Args:
        name: its key in the extracted network's state.
        shape: its dimensions; output channels come first.
        bits: bits per weight that it is stored with; only matrices (two or more dimensions) have fewer than 32.
        paper_bits: bits per weight by the size rule of the papers, which counts biases and norms at the member's bits;
            groups' scales and N:M's zeros are in it, other zeros are not.
        uses: how often each weight is multiplied in a 10 s utterance.
        counted: whether the papers' rule counts it (the encoder) or not (the head).
        prunable: whether its weights can be dropped: those of a layer's linear maps.
        threshold: the survival level below which they are dropped.
        inputs_per_scale: how many inputs of a matrix of few bits share a scale; None: as the quantiser of the run says.
    """

    name: str
    shape: tuple[int, ...]
    bits: int = FULL_PRECISION
    paper_bits: float = FULL_PRECISION
    uses: float = 0
    counted: bool = True
    prunable: bool = False
    threshold: int = 0
    inputs_per_scale: int | None = None

    def cost(
        self, num_scales: int, kept: int | None = None, index_bytes: int = 0, paper_kept: int | None = None
    ) -> Cost:
        """Its cost.

        Args:
            num_scales: float32 scales that are stored with it if it is quantised.
            kept: weights that are not dropped; None: all of them.
            index_bytes: of what a file says about which they are.
            paper_kept: weights at the papers' bits; None: those that are not dropped.
        """
        numel = prod(self.shape)
        kept = numel if kept is None else kept
        stored = ceil(kept * self.bits / 8) + index_bytes
        if self.bits < FULL_PRECISION:
            stored += 4 * num_scales
        return Cost(
            parameters=numel if self.counted else 0,
            bytes=(kept if paper_kept is None else paper_kept) * self.paper_bits / 8 if self.counted else 0,
            bytes_stored=stored,
            macs=numel * self.uses / 10,
        )


def total(costs: Iterable[Cost]) -> Cost:
    """The sum of costs."""
    return sum(costs, Cost())
