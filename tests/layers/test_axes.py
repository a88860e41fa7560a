"""Axes say which entries of a parameter a smaller layer keeps."""

import pytest

from allinone.layers import FeedForward, LabelAttention, RelativeSelfAttention, RotarySelfAttention
from allinone.layers.axes import Axis, inside
from allinone.models import ConformerLayer
from allinone.models.decoder import DecoderLayer
from allinone.subnet import LayerConfig


def test_a_layer_keeps_its_units_or_all_entries_of_its_heads():
    layer = LayerConfig(24, heads=3)
    assert Axis(0).kept(layer) == 24
    assert Axis(1, "width", 2).kept(layer) == 48
    assert Axis(0, "heads", 6).kept(layer) == 18


def test_without_a_number_of_heads_a_layer_keeps_all():
    assert Axis(0, "heads", 6).kept(LayerConfig(24)) is None


def test_the_axes_of_a_part_bear_the_names_of_the_layer():
    assert inside("part", {"weight": Axis(0)}) == {"part.weight": Axis(0)}


@pytest.mark.parametrize("kind", [RelativeSelfAttention, RotarySelfAttention])
def test_an_attention_with_fewer_heads_differs_along_its_axes_only(kind):
    whole, few = kind(16, 4, 0.0, 6), kind(16, 3, 0.0, 6)
    shapes = {name: list(parameter.shape) for name, parameter in few.named_parameters()}
    for name, parameter in whole.named_parameters():
        shape = list(parameter.shape)
        axis = whole.axes.get(name)
        if axis is not None:
            assert (axis.of, shape[axis.dim]) == ("heads", 4 * axis.each)
            shape[axis.dim] = 3 * axis.each
        assert shapes[name] == shape
    assert whole.axes.keys() <= shapes.keys()


def test_a_layer_has_the_axes_of_its_parts():
    attention = RelativeSelfAttention(16, 2, 0.0)
    layer = ConformerLayer(16, 24, attention, 5, 0.0)
    parts = {"attention": attention.axes, "feed_forward_1": FeedForward.axes, "feed_forward_2": FeedForward.axes}
    assert layer.axes == {f"{part}.{name}": axis for part, axes in parts.items() for name, axis in axes.items()}
    assert layer.axes.keys() <= dict(layer.named_parameters()).keys()
    attentions = LabelAttention(16, 2, 8, 0.0), LabelAttention(16, 2, 8, 0.0, key_bias=False)
    decoder = DecoderLayer(*attentions, FeedForward(16, 24, 0.0), 16)
    parts = {"attention": attentions[0].axes, "cross_attention": attentions[1].axes, "feed_forward": FeedForward.axes}
    assert decoder.axes == {name: axis for part, axes in parts.items() for name, axis in inside(part, axes).items()}
    assert decoder.axes.keys() <= dict(decoder.named_parameters()).keys()
