"""Linear maps and the scales of their inputs: a scale rounds, none does not, and who was told no range says nothing."""

import pytest
import torch
from torch import nn

from allinone.layers.elastic import Elastic
from allinone.layers.input_scales import InputScales
from allinone.layers.linear import Linear, round_all_inputs, roundings
from allinone.quantization import AbsMax, DynamicActivations, StaticActivations, round_inputs
from allinone.subnet import LayerConfig

X = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0))


def two_maps() -> nn.Sequential:
    return nn.Sequential(Linear(6, 4), nn.ReLU(), nn.Sequential(Linear(4, 3, bias=False)))


def test_a_map_without_a_scale_is_an_ordinary_one():
    linear = Linear(6, 4)
    plain = nn.Linear(6, 4)
    plain.load_state_dict(linear.state_dict())  # of the same names
    assert torch.equal(linear(X), plain(X))


@pytest.mark.parametrize("activations", [DynamicActivations(), StaticActivations()], ids=lambda way: type(way).__name__)
def test_a_map_with_a_scale_rounds_what_it_is_given(activations):
    linear = Linear(6, 4)
    round_all_inputs(linear, activations)
    assert linear.state_dict()["rounding.scale"].shape == activations.scale_shape
    scale = torch.full(activations.scale_shape, 0.1)
    linear.load_state_dict(linear.state_dict() | {"rounding.scale": scale})
    assert torch.equal(linear(X), nn.functional.linear(round_inputs(X, scale), linear.weight, linear.bias))


def test_all_maps_of_a_module_are_found():
    assert roundings(two_maps()) == ("0.rounding", "2.0.rounding")
    assert roundings(nn.Linear(2, 2)) == ()


def test_scales_are_unknown_until_ranges_are_told_and_are_the_same_for_all_precisions():
    scales = InputScales(two_maps(), StaticActivations())
    assert scales.unknown == ["0.rounding", "2.0.rounding"]
    scales.take_range("0.rounding", 2.54)
    assert scales.unknown == ["2.0.rounding"]
    scales.take_over("2.0.rounding.scale", torch.tensor(0.5))
    assert not scales.unknown
    stored = dict(scales.stored())
    torch.testing.assert_close(
        stored, {"0.rounding.scale": torch.tensor(0.02), "2.0.rounding.scale": torch.tensor(0.5)}
    )
    for bits in (2, 8):
        handed_in = {name: scale.detach() for name, scale in scales.of(bits, X).items()}
        torch.testing.assert_close(handed_in, stored)
    assert scales.of(32, X) == {}


def test_an_input_that_was_always_zero_has_a_scale():
    scales = InputScales(two_maps(), StaticActivations())
    scales.take_range("0.rounding", 0.0)
    assert 0 < dict(scales.stored())["0.rounding.scale"] < 1e-6


def test_scales_of_frames_are_no_parameters_and_never_unknown():
    scales = InputScales(two_maps(), DynamicActivations())
    assert not list(scales.parameters())
    assert not scales.unknown
    assert not dict(scales.stored())
    assert {name: tuple(scale.shape) for name, scale in scales.of(8, X).items()} == dict.fromkeys(
        ("0.rounding.scale", "2.0.rounding.scale"), (0,)
    )


def test_a_layer_that_was_told_no_range_says_nothing_but_at_full_precision():
    elastic = Elastic(two_maps(), {}, AbsMax(), (8, 32), activations=StaticActivations())
    assert elastic(LayerConfig(1, 8), X).isnan().all()
    assert elastic(LayerConfig(1, 32), X).isfinite().all()
    assert not list(Elastic(two_maps(), {}, AbsMax(), (32,), activations=StaticActivations()).inputs.parameters())
