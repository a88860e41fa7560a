"""Post-training quantisation: a member of a trained supernet with few bits, without any training."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from allinone.data.batch import Batch
from allinone.models.input_squares import input_squares
from allinone.quantization import Lsq, Quantizer, as_float, least_squares_scale, quantise
from allinone.subnet import FULL_PRECISION, LayerConfig, SearchSpace, SubnetConfig
from allinone.tasks.hearing import hear_each
from allinone.tasks.speech import SpeechTask
from allinone.training.start import take_over_weights

_DAMPING = 0.01


def refuse_differing_layers(member: SubnetConfig) -> None:
    """Raises ValueError if a member is no uniform one, which alone is quantised after training."""
    if not member.is_uniform:
        raise ValueError(
            f"A member that is quantised after training requires layers that agree; found {member.name}. Choose one "
            "whose layers are equal, as largest and smallest are."
        )


def space_of(member: SubnetConfig, trained: SearchSpace) -> SearchSpace:
    """The space of one uniform member, and of the dense one of its size if it has zeros.

    Args:
        member: the member.
        trained: the space whose pattern its zeros have.
    """

    def of_layers(layers: tuple[LayerConfig, ...], part: SearchSpace) -> SearchSpace:
        (layer,) = set(layers)
        return SearchSpace(
            (len(layers),),
            (layer.width,),
            (layer.bits,),
            heads=() if layer.heads is None else (layer.heads,),
            sparsities=(layer.sparsity,) if layer.threshold else (),
            pattern=part.pattern if layer.threshold else None,
            scale_groups=() if layer.inputs_per_scale is None else (layer.inputs_per_scale,),
        )

    space = of_layers(member.layers, trained)
    if trained.decoder is None or not member.decoder:
        return space
    return replace(space, decoder=of_layers(member.decoder, trained.decoder))


@torch.no_grad()
def quantised_member(source: SpeechTask, member: SubnetConfig, bits: int, quantizer: Quantizer) -> SpeechTask:
    """A supernet of one member, whose weights are rounded as a quantiser says: to nearest, or with least squares.

    Its linear maps round their inputs as those of the source do. Scales of inputs that the source stores are kept; what
    it lacks, as where all its members have full precision, is yet to be calibrated.

    Args:
        source: the trained supernet, with statistics of the member at full precision if it has batch norms.
        member: one of its members; its own precision does not matter.
        bits: 2 to 8, or 32 for full precision.
        quantizer: learned scales begin with the least squared error of the weights, and stay there.

    Raises:
        ValueError: if there is no such precision, the layers of the member differ, or scale groups do not fit.
    """
    refuse_differing_layers(member)
    task = SpeechTask(
        layout=source.layout,
        space=space_of(member.with_bits(bits), source.space),
        tokenizer=source.tokenizer,
        quantizer=quantizer,
        features=source.features.settings,
        attention=source.attention,
        ctc=source.ctc,
        activations=source.activations,
        first_scales=False,
    )
    ranges = {f"{part}.{name}": scale for part, elastic in source.parts() for name, scale in elastic.inputs.stored()}
    take_over_weights(task, source.weights(member.with_bits(FULL_PRECISION)) | ranges, f"the member {member.name}")
    return task.eval()


@torch.no_grad()
def heard_inputs(source: SpeechTask, member: SubnetConfig, batches: Iterable[Batch]) -> dict[str, Tensor]:
    """The mean square of each input of a member's linear maps at full precision, on utterances of speech.

    Args:
        source: the trained supernet, as in :func:`quantised_member`.
        member: one of its members.
        batches: of speech; each utterance is heard alone, without padding.

    Returns:
        As :func:`allinone.models.input_squares.input_squares`, under the names of the plain network.

    Raises:
        ValueError: if there is no utterance.
    """
    whole = member.with_bits(FULL_PRECISION)
    network = source.build(whole)
    network.load_state_dict({name: as_float(weight) for name, weight in source.weights(whole).items()})
    squares = input_squares(network.eval(), lambda: hear_each(network, batches))
    if not squares:
        raise ValueError(
            "Calibration requires utterances of the training split; found none. Give calibration=64 and data that have "
            "a training split, or calibration=0 to round without data."
        )
    return squares


def refuse_dynamic_scales(quantizer: Quantizer) -> None:
    """Raises ValueError if a quantiser has no scales of its own that could be set."""
    if not isinstance(quantizer, Lsq):
        raise ValueError(
            f"Calibration requires a quantiser that keeps its scales; found {type(quantizer).__name__}, which takes "
            "them from the weights. Give quantizer=lsq or lsq_groups, or calibration=0."
        )


@torch.no_grad()
def calibrate(task: SpeechTask, squares: Mapping[str, Tensor]) -> None:
    """Sets scales such that the outputs of linear maps have the least squared error, each input apart.

    That is the error of each weight times the mean square of its input (the diagonal of the Hessian), to which a
    hundredth of the mean of all is added, so that inputs that were never heard count, too (GPTQ, Frantar et al. 2023,
    section 3.3). Weights whose inputs are not known, such as those of convolutions, keep their scales.

    Args:
        task: of one member.
        squares: as :func:`heard_inputs` gives them.

    Raises:
        ValueError: if the quantiser has no scales that could be set.
    """
    refuse_dynamic_scales(task.quantizer)
    for part, elastic in task.parts():
        for name, weight in elastic.module.named_parameters():
            if (square := squares.get(f"{part}.{name}")) is not None:
                importance = square + _DAMPING * square.mean()
                for bits in elastic.bits:
                    scale = least_squares_scale(weight, bits, task.quantizer.granularity, importance)
                    elastic.take_over_scale(name, quantise(weight, scale, bits))
