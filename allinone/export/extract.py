"""Takes a member out of a supernet: an ordinary network with narrower matrices and fewer layers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor, nn

from allinone.export.tensors import Weight
from allinone.quantization.affine import Quantised
from allinone.subnet import SubnetConfig

if TYPE_CHECKING:  # a recogniser runs without the supernet's code
    from allinone.tasks.ctc import CtcNetwork, CtcTask


def extract(task: "CtcTask", subnet: SubnetConfig) -> "CtcNetwork":
    """The member ``subnet`` of the supernet as a plain network on the CPU, frozen and in evaluation mode.

    Its outputs equal ``task(waveforms, lengths, subnet)`` of the supernet in evaluation mode, bit for bit in float32.
    """
    network = task.build(subnet)
    load_weights(network, task.weights(subnet))
    return network


def load_weights(network: nn.Module, weights: Mapping[str, Weight]) -> None:
    """Puts stored weights, dequantised, into a plain network, which is frozen and in evaluation mode afterwards."""
    network.load_state_dict({name: as_float(weight) for name, weight in weights.items()})
    network.eval().requires_grad_(False)


def as_float(weight: Weight) -> Tensor:
    """The weight that the network computes with."""
    return weight.dequantise() if isinstance(weight, Quantised) else weight
