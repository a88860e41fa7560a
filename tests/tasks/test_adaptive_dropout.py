"""Adaptive dropout in the supernet: whose layers it reaches, and that it is a matter of training alone."""

import pytest
import torch

from allinone.layers.dropout import Dropout
from allinone.models import AdaptiveDropout
from allinone.subnet import LayerConfig, SubnetConfig
from allinone.tasks.speech import SpeechTask
from tests.laws.examples import DECODER, learn, make_batch, make_task

P = 0.4


def tasks(**changes) -> list[SpeechTask]:
    """Two equal supernets, the second with adaptive dropout."""
    return [make_task(dropout=P, adaptive_dropout=rule, **changes) for rule in (None, AdaptiveDropout())]


def dropped(task: SpeechTask, member: SubnetConfig) -> dict[str, list[float]]:
    """The shares that the dropouts of each part dropped when a member learnt."""
    found: dict[str, list[float]] = {}
    for name, part in task.parts():
        for module in part.modules():
            if isinstance(module, Dropout):

                def watch(module, inputs, output, name=name):
                    given = inputs[0] != 0
                    found.setdefault(name, []).append(float((output[given] == 0).float().mean()))

                module.register_forward_hook(watch)
    learn(task, make_batch((3.0, 3.0)), member)
    return found


def test_each_layer_drops_its_share_and_the_front_end_that_of_the_largest():
    task = make_task(layerwise=True, dropout=P, adaptive_dropout=AdaptiveDropout()).train()
    shares = dropped(task, SubnetConfig.parse("1-24-8bit+1-12-8bit"))
    expected = {"encoder.front_end": P, "encoder.layers.0": P * 2 / 3, "encoder.layers.1": P * 2 / 3 / 2}
    assert shares.keys() == expected.keys()
    for name, found in shares.items():
        assert found == pytest.approx([expected[name]] * len(found), abs=0.06)
        assert sum(found) / len(found) == pytest.approx(expected[name], abs=0.03)


@pytest.mark.parametrize(("decoder", "factors"), [((), [1.0, 1.0]), ((LayerConfig(12),), [0.25])])
def test_a_whole_decoder_is_left_alone_and_a_smaller_one_drops_its_share(decoder, factors):
    task = make_task(dropout=P, adaptive_dropout=AdaptiveDropout(), attention=DECODER).train()
    assert task.decoder is not None
    seen = []
    for layer in task.decoder.layers:
        layer.get_submodule("module").register_forward_pre_hook(lambda module, inputs: seen.append(float(inputs[-1])))
    learn(task, make_batch(), SubnetConfig((LayerConfig(12), LayerConfig(12)), decoder))
    assert seen == factors


@pytest.mark.parametrize("attention", [None, DECODER], ids=["ctc", "hybrid"])
def test_the_largest_draws_as_without_it_and_others_do_not(attention):
    batch = make_batch()

    def frames(member: SubnetConfig) -> list[torch.Tensor]:
        found = []
        for task in tasks(attention=attention):
            torch.manual_seed(1)
            found.append(learn(task.train(), batch, member).encoded)
        return found

    task = make_task()
    assert torch.equal(*frames(task.space.largest))
    assert not torch.equal(*frames(task.space.smallest))


def test_evaluation_knows_nothing_of_it():
    batch, (plain, adaptive) = make_batch(), tasks(attention=DECODER)
    assert plain.state_dict().keys() == adaptive.state_dict().keys()
    for member in (plain.space.largest, plain.space.smallest):
        one, other = (learn(task.eval(), batch, member) for task in (plain, adaptive))
        assert one.log_probs is not None
        assert other.log_probs is not None
        assert torch.equal(one.log_probs, other.log_probs)
        assert one.spelt is not None
        assert other.spelt is not None
        assert torch.equal(one.spelt, other.spelt)
        network = adaptive.build(member)
        assert str(network) == str(plain.build(member))
