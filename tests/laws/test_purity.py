"""The law of purity: running one member changes nothing in another, in training and in evaluation."""

import copy
import itertools

import pytest
import torch

from allinone.layers import SpecAugment
from allinone.sparsity import Blocks
from allinone.subnet import SubnetConfig
from allinone.training import Objective
from allinone.training.one_pass import Draw, assign, one_pass
from tests.laws.examples import calibrate, make_batch, make_task, mixed_heads, mixed_member, perturb


@pytest.mark.parametrize("positions", ["relative", "rotary"])
@pytest.mark.parametrize(("norm", "heads"), [("layer", ()), ("batch", ()), ("batch", (1, 2, 4))])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_running_one_member_changes_nothing_in_another(positions, norm, heads, training):
    kind = {"positions": positions, "convolution_norm": norm, "heads": heads, "num_heads": 4, "head_dim": 6}
    task = perturb(make_task(layerwise=True, dropout=0.1, front_end_bits=None, **kind)).train(training)
    batch, first, second = make_batch(), task.space.largest, mixed_heads() if heads else mixed_member()
    calibrate(task, first, second)
    assert task.training == training
    before = {name: tensor.clone() for name, tensor in task.state_dict().items()}
    statistics = copy.deepcopy(task.encoder.statistics)

    def run(member):
        torch.manual_seed(0)
        return task(batch.waveforms, batch.lengths, member).log_probs

    output = run(first)
    other = run(second)
    assert torch.equal(run(first), output)
    assert torch.equal(run(second), other)
    assert not torch.equal(output, other)
    after = task.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert task.encoder.statistics.keys() == statistics.keys()
    for member, buffers in statistics.items():
        assert all(torch.equal(task.encoder.statistics[member][name], buffer) for name, buffer in buffers.items())


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_nor_does_running_sparse_members(training):
    zeros = {"pattern": Blocks(4, 1), "sparsities": (0.5, 0.8)}
    task, batch = perturb(make_task(layerwise=True, dropout=0.1, **zeros)).train(training), make_batch()
    before = {name: tensor.clone() for name, tensor in task.state_dict().items()}

    def run(name):
        torch.manual_seed(0)
        return task(batch.waveforms, batch.lengths, SubnetConfig.parse(name)).log_probs

    members = ("3-24-8bit", "1-24-3bit-s80+1-12-8bit+1-24-32bit-s50", "3-24-8bit-s50", "3-24-8bit-s80")
    outputs = [run(name) for name in members]
    assert all(torch.equal(run(name), output) for name, output in zip(members, outputs, strict=True))
    assert not any(torch.equal(one, two) for one, two in itertools.combinations(outputs, 2))
    after = task.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_reading_the_weights_of_one_member_changes_nothing():
    task, batch = perturb(make_task(layerwise=True)).eval(), make_batch()
    with torch.no_grad():
        before = task(batch.waveforms, batch.lengths, mixed_member()).log_probs
        for member in (task.space.largest, task.space.smallest, mixed_member()):
            task.weights(member)
        assert torch.equal(task(batch.waveforms, batch.lengths, mixed_member()).log_probs, before)


def test_the_gradients_of_a_step_do_not_depend_on_what_was_run_before_it():
    """Chance included: dropout and masks are a function of seed, step and member."""
    task, batch = make_task(dropout=0.1, augment=SpecAugment()).train(), make_batch()
    members = [task.space.largest, task.space.smallest]

    def gradients(step):
        task.zero_grad()
        draw = Draw(0, step, 0)
        plan = assign(batch, members, in_batch=False, step=0)
        one_pass(task, batch, plan, Objective(), scale=1.0, backward=torch.Tensor.backward, draw=draw)
        gradients = [parameter.grad for parameter in task.parameters()]
        return [torch.zeros(()) if gradient is None else gradient.clone() for gradient in gradients]

    first = gradients(0)
    other = gradients(1)
    task(batch.waveforms, batch.lengths, task.space.largest)
    assert all(map(torch.equal, first, gradients(0)))
    assert not all(map(torch.equal, first, other))
