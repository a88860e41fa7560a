"""Ranges of inputs: those that were heard, of utterances without their padding, once."""

import pytest
import torch

from allinone.quantization import AbsMax, Activations, DynamicActivations, StaticActivations
from allinone.subnet import SubnetConfig
from allinone.tasks.input_ranges import calibrate_inputs
from allinone.tasks.speech import SpeechTask
from tests.laws.examples import DECODER, make_batch, make_task


def fresh(activations: Activations | None = StaticActivations(), **kind) -> SpeechTask:  # noqa: B008
    """A supernet that has heard nothing."""
    task = make_task(quantizer=AbsMax(), activations=activations, attention=DECODER, **kind)
    with torch.no_grad():
        for _, elastic in task.parts():
            for scale in elastic.inputs.log_scales.values():
                scale.fill_(torch.nan)
    return task


def ranges(task: SpeechTask) -> dict[str, float]:
    """The largest magnitudes that are not clamped."""
    scales = {f"{part}.{name}": scale for part, elastic in task.parts() for name, scale in elastic.inputs.stored()}
    return {name: 127 * float(scale) for name, scale in scales.items()}


@torch.no_grad()
@pytest.mark.parametrize("bits", [(4, 32), (4, 8)], ids=str)
def test_the_range_of_an_input_is_the_largest_that_is_heard_at_full_precision(bits):
    task, batch, heard = fresh(bits=bits), make_batch((0.9, 0.4)), []
    calibrate_inputs(task, [batch])
    linear = task.encoder.layers[2].get_submodule("module.feed_forward_2.down")
    linear.register_forward_pre_hook(lambda _, inputs: heard.append(float(inputs[0].abs().max())))
    for row in range(2):
        one = batch.select([row])
        task.eval()(one.waveforms, one.lengths, SubnetConfig.uniform(3, 24, 32))
    found = ranges(task)
    assert found["encoder.layers.2.feed_forward_2.down.rounding.scale"] == pytest.approx(max(heard))
    assert len(found) == 3 * 10  # maps of each layer; front end and decoder are at full precision
    assert len(set(found.values())) > len(found) / 2


def test_padding_and_the_batch_do_not_matter():
    together, apart, noisy = fresh(), fresh(), fresh()
    batch = make_batch((0.9, 0.4))
    calibrate_inputs(together, [batch])
    calibrate_inputs(apart, [batch.select([1]), batch.select([0])])
    batch.waveforms[1, int(batch.lengths[1]) :] = 100.0
    calibrate_inputs(noisy, [batch])
    assert ranges(together) == ranges(apart) == ranges(noisy)


def test_what_is_known_stays_and_nothing_is_heard_for_it():
    task = fresh()
    calibrate_inputs(task, [make_batch(seed=1)])
    known = ranges(task)
    calibrate_inputs(task, [make_batch(seed=2)])
    assert ranges(task) == known
    calibrate_inputs(task, [])
    calibrate_inputs(fresh(DynamicActivations()), [])
    calibrate_inputs(fresh(None), [])


def test_batch_norms_get_statistics_for_it_and_forget_them():
    task = fresh(convolution_norm="batch", front_end_bits=8)
    calibrate_inputs(task, [make_batch()])
    assert all(0 < size < 100 for size in ranges(task).values())
    assert not task.encoder.statistics


def test_without_utterances_there_are_no_ranges():
    with pytest.raises(ValueError, match=r"require at least one utterance that is heard; found none\. Hand over"):
        calibrate_inputs(fresh(), [])


def test_members_with_scale_groups_hear_at_full_precision_too():
    task = fresh(bits=(4, 8), scale_groups=(4,))
    calibrate_inputs(task, [make_batch((0.5,))])
    assert not any(elastic.inputs.unknown for _, elastic in task.parts())
