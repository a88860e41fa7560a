"""Takes a member out of a supernet: an ordinary network with narrower matrices and fewer layers."""

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import nn

from allinone.export.tensors import Weight
from allinone.quantization import as_float
from allinone.subnet import SubnetConfig
from allinone.tasks import SpeechNetwork

if TYPE_CHECKING:  # a recogniser runs without the supernet's code
    from allinone.tasks.speech import SpeechTask


def extract(task: "SpeechTask", subnet: SubnetConfig) -> SpeechNetwork:
    """The member ``subnet`` of a supernet as a plain network on the CPU, frozen and in evaluation mode.

    Its outputs equal ``task(waveforms, lengths, subnet)`` of the supernet in evaluation mode, bit for bit in float32.

    Raises:
        ValueError: if the supernet has no such member.
    """
    task = evaluation_copy(task, subnet)
    network = task.build(subnet)
    load_weights(network, task.weights(subnet))
    return network


def evaluation_copy(task: "SpeechTask", subnet: SubnetConfig) -> "SpeechTask":
    """A copy of a supernet on the CPU and in evaluation mode; the original stays where and as it is.

    Scales are computed from their logarithms: another device can differ in their last bit, so that what is stored has
    to come from where it is compared. A copy is not compiled either.

    Raises:
        ValueError: if ``subnet`` is no member of the supernet.
    """
    task.space.parse(subnet.name)
    return copy.deepcopy(task).cpu().eval()


def load_weights(network: nn.Module, weights: Mapping[str, Weight]) -> None:
    """Puts stored weights, dequantised, into a plain network, which is frozen and in evaluation mode afterwards."""
    network.load_state_dict({name: as_float(weight) for name, weight in weights.items()})
    network.eval().requires_grad_(False)
