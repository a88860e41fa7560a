"""Recalibration: statistics are those of a pass by hand, each member has its own, and nothing else changes."""

import pytest
import torch

from allinone.layers import MaskedBatchNorm, SpecAugment
from allinone.subnet import SubnetConfig
from allinone.tasks.recalibration import recalibrate
from allinone.tasks.speech import SpeechTask
from tests.laws.examples import make_batch, make_task, mixed_member, perturb

BATCHES = [make_batch(seed=1), make_batch((0.8, 0.7), seed=2)]
LARGEST, NARROW = SubnetConfig.uniform(3, 24, 8), SubnetConfig.uniform(2, 12, 4)


def make_example(norm: str = "batch") -> SpeechTask:
    task = make_task(
        bits=(3, 4, 8, 32), layerwise=True, dropout=0.2, augment=SpecAugment(), convolution_norm=norm, seed=3
    )
    return perturb(task).eval()


def by_hand(task: SpeechTask, member: SubnetConfig) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Mean and variance of what each norm of the plain network of a member is given, batch statistics normalising."""
    recalibrate(task, BATCHES, [member])  # only for the weights, which are read together with statistics
    weights = {
        name: weight if isinstance(weight, torch.Tensor) else weight.dequantise()
        for name, weight in task.weights(member).items()
    }
    network = task.build(member)
    network.load_state_dict(weights)
    network.eval()
    norms = [module for module in network.modules() if isinstance(module, MaskedBatchNorm)]
    seen: list[list[torch.Tensor]] = [[] for _ in norms]
    for norm, frames in zip(norms, seen, strict=True):
        norm.train()

        def keep(module: torch.nn.Module, inputs: tuple[torch.Tensor, torch.Tensor], to: list = frames) -> None:
            to.append(inputs[0][~inputs[1]])

        norm.register_forward_pre_hook(keep)
    with torch.no_grad():
        for batch in BATCHES:
            network(batch.waveforms, batch.lengths)
    joined = [torch.cat(frames) for frames in seen]
    return [(frames.mean(0), frames.var(0, correction=0)) for frames in joined]


@pytest.mark.parametrize("member", [LARGEST, NARROW, mixed_member()], ids=str)
def test_statistics_are_those_of_all_valid_frames(member):
    task = make_example()
    expected = by_hand(make_example(), member)
    recalibrate(task, BATCHES, [member])
    for depth, (mean, variance) in enumerate(expected, start=1):
        found = task.encoder.statistics[SubnetConfig(member.layers[:depth]).name]
        torch.testing.assert_close(found["convolution.norm.mean"], mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found["convolution.norm.variance"], variance, rtol=1e-4, atol=1e-5)


def test_a_narrow_member_is_off_with_the_statistics_of_another_and_right_with_its_own():
    """Right is what batch statistics give on the batch that the statistics are of."""
    task, batch = make_example(), BATCHES[0]
    recalibrate(task, BATCHES[:1], [LARGEST, NARROW])

    @torch.no_grad()
    def outputs(own: SubnetConfig) -> torch.Tensor:
        borrowed = {
            name: task.encoder.statistics[SubnetConfig(own.layers[:depth]).name]
            for depth, name in ((1, "1-12-4bit"), (2, "2-12-4bit"))
        }
        kept, task.encoder.statistics = task.encoder.statistics, borrowed
        output = task(batch.waveforms, batch.lengths, NARROW)
        task.encoder.statistics = kept
        return output.log_probs[0]  # the longest: no padding

    for module in task.train().modules():
        module.train(isinstance(module, MaskedBatchNorm) or module in (task, task.encoder))
    with torch.no_grad():
        wanted = task(batch.waveforms, batch.lengths, NARROW).log_probs[0]
    task.eval()
    torch.testing.assert_close(outputs(NARROW), wanted, rtol=1e-4, atol=1e-4)
    assert (outputs(LARGEST) - wanted).abs().max() > 0.05


def test_statistics_do_not_depend_on_who_is_recalibrated_along():
    alone, together = make_example(), make_example()
    recalibrate(alone, BATCHES, [NARROW])
    recalibrate(together, BATCHES, [LARGEST, SubnetConfig.uniform(3, 12, 4), NARROW, mixed_member()])
    for name, buffers in alone.encoder.statistics.items():
        assert all(torch.equal(together.encoder.statistics[name][key], buffer) for key, buffer in buffers.items())
    assert not together.encoder.lacks_statistics(NARROW)
    assert together.encoder.lacks_statistics(SubnetConfig.uniform(2, 12, 8))


def test_statistics_are_the_encoders_whatever_the_decoder(monkeypatch):
    task, calls = make_example(), []
    encode = task.encode
    monkeypatch.setattr(task, "encode", lambda shared, member: calls.append(member) or encode(shared, member))
    members = [SubnetConfig(NARROW.layers, decoder) for decoder in (LARGEST.layers, NARROW.layers, ())]
    recalibrate(task, BATCHES, members)
    assert calls == [NARROW] * len(BATCHES)
    assert task.encoder.statistics.keys() == {"1-12-4bit", "2-12-4bit"}
    assert not any(task.encoder.lacks_statistics(member) for member in members)
    batch = BATCHES[0]
    outputs = [task(batch.waveforms, batch.lengths, member).log_probs for member in members]
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])


def test_recalibrating_changes_neither_weights_nor_mode_nor_chance():
    task = make_example().train()
    before, chance = {name: weight.clone() for name, weight in task.state_dict().items()}, torch.get_rng_state()
    recalibrate(task, BATCHES, [NARROW])
    assert torch.equal(torch.get_rng_state(), chance)
    assert all(module.training for module in task.modules())
    assert all(torch.equal(weight, before[name]) for name, weight in task.state_dict().items())
    assert not any(module._forward_pre_hooks for module in task.modules())


def test_statistics_go_where_the_weights_go():
    task = make_example()
    recalibrate(task, BATCHES, [NARROW])
    task.double()
    assert {buffer.dtype for buffers in task.encoder.statistics.values() for buffer in buffers.values()} == {
        torch.float64
    }


def test_a_network_without_batch_norm_reads_no_batch():
    task = make_example(norm="layer")

    def batches():
        raise AssertionError
        yield

    recalibrate(task, batches(), [NARROW])
    assert not task.encoder.needs_statistics
    assert not task.encoder.lacks_statistics(NARROW)
    assert task.encoder.statistics == {}


def test_a_member_without_statistics_is_refused_in_evaluation_only():
    task, batch = make_example(), BATCHES[0]
    recalibrate(task, BATCHES, [LARGEST])
    message = r"requires statistics of its own; found none for 2-12-4bit\. Recalibrate it first"
    with pytest.raises(ValueError, match=message):
        task(batch.waveforms, batch.lengths, NARROW)
    with pytest.raises(ValueError, match=message):
        task.weights(NARROW)
    task.train()(batch.waveforms, batch.lengths, NARROW)


def test_no_batches_are_refused():
    task = make_example()
    with pytest.raises(ValueError, match=r"requires at least one batch of speech; found none\. Hand over"):
        recalibrate(task, [], [NARROW])
    assert task.encoder.statistics == {}
