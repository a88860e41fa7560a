"""What a narrow member lacks is made up for on average."""

import pytest
import torch
from torch import nn

from allinone.layers import FeedForward
from allinone.layers.elastic import Elastic
from allinone.quantization import Lsq
from allinone.subnet import LayerConfig

NAME = "down.weight"


@pytest.fixture
def elastic() -> Elastic:
    torch.manual_seed(0)
    module = FeedForward(6, 8, 0.0, "gelu")
    return Elastic(module, module.axes, Lsq(), (8,))


def test_units_that_say_the_same_of_everything_are_not_missed(elastic):
    module = elastic.module
    with torch.no_grad():
        module.up.weight[5:] = 0
        elastic.take_over_mean(NAME, nn.functional.gelu(module.up.bias))
    x = torch.randn(2, 3, 6)
    torch.testing.assert_close(elastic(LayerConfig(5), x), module(x))
    assert not torch.allclose(elastic(LayerConfig(4), x), module(x))


def test_nothing_is_made_up_for_unless_means_are_known_nor_in_the_largest_member(elastic):
    bias = elastic.module.down.bias
    assert torch.equal(elastic.effective(LayerConfig(5))["down.bias"], bias)
    elastic.take_over_mean(NAME, torch.ones(8))
    assert not torch.equal(elastic.effective(LayerConfig(5))["down.bias"], bias)
    assert torch.equal(elastic.effective(LayerConfig(8))["down.bias"], bias)


def test_what_is_stored_makes_up_as_what_is_trained_does_and_weights_that_are_missing_learn_nothing(elastic):
    elastic.take_over_mean(NAME, torch.rand(8))
    config = LayerConfig(5, 8)
    effective = elastic.effective(config)
    assert torch.equal(effective["down.bias"], elastic.weights(config)["down.bias"])
    effective["down.bias"].sum().backward()
    assert torch.equal(elastic.module.down.bias.grad, torch.ones(6))
    assert elastic.module.down.weight.grad is None


def test_means_are_saved_and_a_state_from_before_there_were_any_has_none(elastic):
    elastic.take_over_mean(NAME, torch.arange(20.0))  # of a network with more units
    assert elastic.mean("up.weight") is None
    told = elastic.mean(NAME)
    assert told is not None
    assert torch.equal(told, torch.arange(8.0))
    state = elastic.state_dict()
    other = Elastic(FeedForward(6, 8, 0.0), FeedForward.axes, Lsq(), (8,))
    other.load_state_dict(state)
    means = other.mean(NAME)
    assert means is not None
    assert torch.equal(means, told)
    other.load_state_dict({name: value for name, value in state.items() if not name.startswith("means.")})
    assert not means.any()
