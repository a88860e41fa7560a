"""Encoders: named sizes, depth as a prefix, heads of a size of their own, and refusals."""

from dataclasses import replace

import pytest
import torch

from allinone.models import conformer_small, conformer_switchboard, encoder_cost
from allinone.quantization import PerChannel
from allinone.subnet import SubnetConfig
from tests.laws.examples import make_layout, make_task


@pytest.mark.parametrize(("layout", "millions"), [(conformer_switchboard(), 33.51), (conformer_small(), 2.79)])
def test_named_layouts_have_their_sizes(layout, millions):
    largest = SubnetConfig.uniform(layout.num_layers, layout.ffn_dim)
    assert encoder_cost(layout, largest, PerChannel()).parameters / 1e6 == pytest.approx(millions, rel=0.01)


def test_frames_are_a_quarter_of_the_features():
    layout = make_layout()
    assert [layout.frames(frames) for frames in (6, 7, 998)] == [0, 1, 248]
    network = layout.build(SubnetConfig.uniform(2, 12))
    x, lengths = network(torch.randn(1, 998, 80), torch.tensor([998]))
    assert x.shape[1] == int(lengths) == 248


def test_heads_of_a_size_of_their_own_are_counted():
    """Query, key, value (with biases) and output: 4 * 256 * 512 + 3 * 512 + 256 in place of 4 * (256 * 256 + 256)."""
    layout = conformer_switchboard()
    wide = replace(layout, positions="rotary", head_dim=128)
    narrow = replace(layout, positions="rotary", head_dim=64)
    member = SubnetConfig.uniform(12, 2048)
    wide_cost, narrow_cost = (encoder_cost(sizes, member, PerChannel()) for sizes in (wide, narrow))
    each = 4 * 256 * 512 + 3 * 512 + 256 - 4 * (256 * 256 + 256)
    assert wide_cost.parameters - narrow_cost.parameters == 12 * each
    halved = SubnetConfig.uniform(12, 2048, heads=2)
    assert encoder_cost(wide, halved, PerChannel()) == encoder_cost(narrow, member, PerChannel())


@torch.no_grad()
def test_a_shallow_member_is_the_first_layers():
    task = make_task().eval()
    features, lengths = torch.randn(1, 60, 80), torch.tensor([60])
    deep = SubnetConfig.uniform(3, 24)
    shallow, _ = task.encoder(features, lengths, SubnetConfig.uniform(2, 24))
    x, frames = task.encoder.embed(features, lengths, deep)
    context = task.encoder.layers[0].module.context(x, frames)  # pyright: ignore
    for layer in task.encoder.layers[:2]:
        x = layer(deep.layers[0], x, context)
    assert torch.equal(shallow, x)


def test_impossible_layouts_are_refused():
    with pytest.raises(
        ValueError, match=r"even multiple of the number of heads; found dim=16 and num_heads=3\. Change"
    ):
        make_layout(num_heads=3)
    with pytest.raises(ValueError, match=r"needs at least 1 attention head; found num_heads=0\. Give"):
        make_layout(num_heads=0)
    for changes, found in (({"head_dim": 7}, "dim=16 and head_dim=7"), ({"dim": 15, "head_dim": 6}, "dim=15 and head")):
        with pytest.raises(ValueError, match=rf"must be positive and even, .*; found {found}.*\. Give even numbers"):
            make_layout(**changes)
    with pytest.raises(ValueError, match="The kernel size must be odd; found 4"):
        make_layout(kernel_size=4)
    with pytest.raises(ValueError, match="'relative' or 'rotary'; found 'absolute'"):
        make_layout(positions="absolute")
    with pytest.raises(ValueError, match=r"is 'layer' or 'batch'; found 'group'\. Choose one of the two"):
        make_layout(convolution_norm="group")
