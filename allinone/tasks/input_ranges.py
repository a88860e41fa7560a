"""Ranges of the inputs of linear maps, where these are stored: heard on training utterances before the first step."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from allinone.data.batch import Batch
from allinone.layers.input_scales import InputScales
from allinone.layers.linear import InputRounding
from allinone.quantization import as_float
from allinone.subnet import FULL_PRECISION
from allinone.tasks.hearing import hear_each
from allinone.tasks.network import SpeechNetwork, build_network
from allinone.tasks.recalibration import recalibrate
from allinone.tasks.speech import SpeechTask


@torch.no_grad()
def calibrate_inputs(task: SpeechTask, batches: Iterable[Batch]) -> None:
    """Sets the scales of inputs that are stored and not known yet, such that nothing that is heard is clamped.

    The largest member hears the batches at full precision, utterance by utterance, so that no padding counts, and
    spells what was said, if there is an attention decoder. Scales that are known stay as they are; a network that
    stores none hears nothing.

    Args:
        task: the supernet.
        batches: training batches; read once, or twice where batch norms need statistics first.

    Raises:
        ValueError: if there are no batches.
    """
    parts = dict(task.parts())
    wanted = {f"{part}.{name}": (part, name) for part, elastic in parts.items() for name in elastic.inputs.unknown}
    if not wanted:
        return
    largest: dict[str, Tensor] = {}

    def observe(name: str, _: nn.Module, inputs: tuple[Tensor]) -> None:
        heard = inputs[0].abs().max()
        largest[name] = torch.maximum(largest[name], heard) if name in largest else heard

    network = _at_full_precision(task, batches)
    for name, module in network.named_modules():
        if isinstance(module, InputRounding) and name in wanted:
            module.register_forward_pre_hook(partial(observe, name))
    if not hear_each(network.to(next(task.parameters()).device).eval(), batches):
        raise ValueError(
            "The ranges of inputs require at least one utterance that is heard; found none. Hand over training data, "
            "or give activations=dynamic or activations=none."
        )
    for name, (part, within) in wanted.items():
        parts[part].inputs.take_range(within, float(largest[name]))


def _at_full_precision(task: SpeechTask, batches: Iterable[Batch]) -> SpeechNetwork:
    """The largest member as a plain network that rounds no inputs."""
    member = task.space.largest.with_bits(FULL_PRECISION)
    with _without_rounding(task):
        before = dict(task.encoder.statistics)
        if task.encoder.lacks_statistics(member):
            recalibrate(task, batches, [member], device=next(task.parameters()).device)
        weights = {name: as_float(weight) for name, weight in task.weights(member).items()}
        task.encoder.statistics = before
    network = build_network(task.layout, task.features.settings, task.tokenizer, member, task.attention, task.ctc)
    network.load_state_dict(weights)
    return network


@contextmanager
def _without_rounding(task: SpeechTask) -> Iterator[None]:
    """Lets no part round its inputs meanwhile: a front end may have few bits in all members."""
    scales = [(elastic, elastic.inputs) for _, elastic in task.parts()]
    try:
        for elastic, _ in scales:
            elastic.inputs = InputScales(elastic.module, None)
        yield
    finally:
        for elastic, inputs in scales:
            elastic.inputs = inputs
