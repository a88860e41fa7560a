"""The law of nestedness: a smaller member is a prefix of a larger one, and learns only there."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from allinone.layers.axes import Axis
from allinone.subnet import SubnetConfig
from tests.laws.examples import PLAIN, dense, learn, make_batch, make_task, perturb

PARTS = {f"feed_forward_{i}.{part}" for i in (1, 2) for part in ("up.weight", "up.bias", "down.weight")}
HEADS = {f"attention.{name}.{part}" for name in ("query", "key", "value") for part in ("weight", "bias")}
HEADS |= {"attention.output.weight"}
RELATIVE = {f"attention.{name}" for name in ("position.weight", "content_bias", "position_bias")}
KINDS: dict[str, tuple[dict[str, Any], str, set[str]]] = {  # a network, what its members end in, what is cut
    "width": ({}, "", PARTS),
    "heads, rotary": ({"heads": (1, 2)}, "-h1", PARTS | HEADS),
    "heads, relative": ({"heads": (1, 2), "positions": "relative", "head_dim": 6}, "-h1", PARTS | HEADS | RELATIVE),
}


@pytest.mark.parametrize(("kind", "heads", "cut"), KINDS.values(), ids=KINDS)
def test_the_weights_of_a_smaller_member_are_prefixes_of_those_of_a_larger_one(kind, heads, cut):
    task = perturb(make_task(**kind))
    members = task.space.parse("3-24-32bit" + heads.replace("1", "2")), task.space.parse(f"2-12-32bit{heads}")
    large, small = (dense(task.weights(member)) for member in members)
    assert set(small) < set(large)
    for name, weight in small.items():
        prefix = large[name][tuple(slice(size) for size in weight.shape)]
        assert torch.equal(weight, prefix)
    narrowed = {name for name, weight in small.items() if weight.shape != large[name].shape}
    assert narrowed == {f"encoder.layers.{i}.{part}" for i in (0, 1) for part in cut}


@pytest.mark.parametrize(("kind", "heads", "cut"), KINDS.values(), ids=KINDS)
def test_the_gradients_of_a_smaller_member_touch_only_its_prefix(kind, heads, cut):
    task, batch = make_task(bits=(4, 8), **kind), make_batch()
    member = SubnetConfig.parse(f"2-12-4bit{heads}")
    output = learn(task, batch, member)
    PLAIN.losses(output, batch.labels, batch.label_lengths).sum().backward()
    assert all(parameter.grad is None for parameter in task.encoder.layers[2].parameters())
    for layer in task.encoder.layers[:2]:
        gradients = {name: weight.grad for name, weight in layer.named_parameters()}
        axes: Mapping[str, Axis] = layer.module.axes  # pyright: ignore
        for part in cut:
            axis, gradient = axes[part], gradients[f"module.{part}"]
            assert gradient is not None
            kept = axis.kept(member.layers[0])
            assert kept is not None
            assert gradient.shape[axis.dim] == 2 * kept
            inside, outside = gradient.split(kept, axis.dim)
            assert inside.any()
            assert not outside.any()
        for name, gradient in gradients.items():
            if name.startswith("log_scales"):  # rows: 4 bits, 8 bits
                assert gradient is not None
                assert gradient[0].any()
                assert not gradient[1].any()
                axis = axes.get(name.removeprefix("log_scales.").replace("/", "."))
                if axis is not None and axis.dim == 0:  # scales of output channels
                    kept = axis.kept(member.layers[0])
                    assert kept is None or not gradient[0, kept:].any()
