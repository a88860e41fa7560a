"""What a member costs as a whole system: its encoder and what it says labels with."""

from math import prod

from allinone.models import DecoderLayout, Layout, encoder_cost
from allinone.models.cost import layer_costs, tensor_cost
from allinone.models.inventory import head_tensors
from allinone.quantization import AbsMax, Activations, Quantizer
from allinone.subnet import FULL_PRECISION, Cost, SearchSpace, SubnetConfig, total


def system_cost(
    layout: Layout,
    attention: DecoderLayout | None,
    subnet: SubnetConfig,
    quantizer: Quantizer,
    vocab_size: int,
    ctc: bool = True,
    space: SearchSpace | None = None,
    activations: Activations | None = None,
) -> Cost:
    """What a member costs: the papers count the encoder, the artefact stores head and decoder as well.

    Args:
        layout: the family of encoders.
        attention: sizes of the attention decoder; None if there is none.
        subnet: the member.
        quantizer: how weights are rounded.
        vocab_size: number of labels.
        ctc: whether there is a CTC output.
        space: the search space, by whose pattern and widths weights are dropped; members without zeros need none.
        activations: how linear maps of few bits round their inputs: the scales of that may be stored, too.
    """
    granularity = quantizer.granularity
    costs = [encoder_cost(layout, subnet, granularity, space)]
    if ctc:
        costs += (tensor_cost(spec, granularity) for spec in head_tensors(layout, vocab_size))
    if attention is not None:
        costs += layer_costs(
            lambda layers: attention.tensors(layers, layout.dim, vocab_size),
            subnet.decoder or attention.whole,
            granularity,
            None if space is None else space.decoder,
        )
    if activations is not None and (each := prod(activations.scale_shape)):
        costs.append(Cost(bytes_stored=4 * each * _rounded_maps(layout, attention, subnet, vocab_size)))
    return total(costs)


def _rounded_maps(layout: Layout, attention: DecoderLayout | None, subnet: SubnetConfig, vocab_size: int) -> int:
    """How many linear maps of a member have few bits; an output that is tied to the embedding is one, too."""
    specs, tied = list(layout.tensors(subnet)), False
    if attention is not None:
        layers = subnet.decoder or attention.whole
        specs += attention.tensors(layers, layout.dim, vocab_size)
        tied = attention.tied and layers[0].bits < FULL_PRECISION
    few = [spec.name for spec in specs if spec.bits < FULL_PRECISION and len(spec.shape) == 2]
    return sum(name.endswith("weight") and "embedding." not in name for name in few) + tied


def full_system_bytes(layout: Layout, attention: DecoderLayout | None, vocab_size: int, ctc: bool = True) -> int:
    """Bytes of everything that the whole network stores at full precision: the 1 of every system ratio."""
    largest = SubnetConfig.uniform(layout.num_layers, layout.ffn_dim)
    return system_cost(layout, attention, largest, AbsMax(), vocab_size, ctc).bytes_stored
