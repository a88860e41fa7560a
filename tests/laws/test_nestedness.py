"""The law of nestedness: a narrower or shallower member is a prefix of a larger one, and learns only there."""

import torch

from allinone.subnet import SubnetConfig
from tests.laws.examples import PLAIN, dense, learn, make_batch, make_task, perturb

LARGE, SMALL = SubnetConfig.parse("3-24-32bit"), SubnetConfig.parse("2-12-32bit")


def test_the_weights_of_a_smaller_member_are_prefixes_of_those_of_a_larger_one():
    task = perturb(make_task())
    large, small = dense(task.weights(LARGE)), dense(task.weights(SMALL))
    assert set(small) < set(large)
    for name, weight in small.items():
        prefix = large[name][tuple(slice(size) for size in weight.shape)]
        assert torch.equal(weight, prefix)
    narrowed = {name for name, weight in small.items() if weight.shape != large[name].shape}
    parts = ("up.weight", "up.bias", "down.weight")
    assert narrowed == {f"encoder.layers.{i}.feed_forward_{j}.{part}" for i in (0, 1) for j in (1, 2) for part in parts}


def test_the_gradients_of_a_smaller_member_touch_only_its_prefix():
    task, batch = make_task(bits=(4, 8)), make_batch()
    member = SubnetConfig.parse("2-12-4bit")
    output = learn(task, batch, member)
    PLAIN.losses(output, batch.labels, batch.label_lengths).sum().backward()
    assert all(parameter.grad is None for parameter in task.encoder.layers[2].parameters())
    for layer in task.encoder.layers[:2]:
        gradients = {name: weight.grad for name, weight in layer.named_parameters()}
        for module in ("feed_forward_1", "feed_forward_2"):
            for part, axis in (("up.weight", 0), ("up.bias", 0), ("down.weight", 1)):
                gradient = gradients[f"module.{module}.{part}"]
                assert gradient is not None
                inside, outside = gradient.split(12, axis)
                assert inside.any()
                assert not outside.any()
        for name, gradient in gradients.items():
            if name.startswith("log_scales"):  # rows: 4 bits, 8 bits
                assert gradient is not None
                assert gradient[0].any()
                assert not gradient[1].any()
            if name.endswith("up/weight"):
                assert gradient is not None
                assert not gradient[0, 12:].any()
