"""Tests of utterances that are heard alone."""

import pytest
import torch

from allinone.tasks.hearing import hear_each
from tests.laws.examples import DECODER, make_batch, make_task


@pytest.mark.parametrize("attention", [None, DECODER], ids=["ctc", "decoder"])
def test_each_utterance_is_heard_without_the_padding_of_others(attention):
    task = make_task(attention=attention).eval()
    network = task.build(task.space.largest).eval()
    lengths: list[int] = []
    spelt: list[int] = []
    network.features.register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].shape[1]))
    if network.decoder is not None:
        network.decoder.register_forward_pre_hook(lambda _, inputs: spelt.append(len(inputs[0])))
    batch = make_batch((0.9, 0.4))
    assert hear_each(network, [batch, batch]) == 4
    assert lengths == [*batch.lengths.tolist(), *batch.lengths.tolist()]
    assert len(set(lengths)) == 2
    assert spelt == ([] if attention is None else [1, 1, 1, 1])


def test_no_batches_are_no_utterances():
    task = make_task().eval()
    with torch.no_grad():
        assert hear_each(task.build(task.space.largest).eval(), []) == 0
