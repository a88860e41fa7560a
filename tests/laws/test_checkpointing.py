"""The law of checkpointing: gradients do not depend on activation checkpointing, two members in one backward pass."""

from typing import Any

import pytest
import torch

from allinone.layers.elastic import Elastic
from allinone.models import AdaptiveDropout
from allinone.sparsity import Blocks, StraightThrough
from allinone.subnet import SubnetConfig
from allinone.tasks.speech import SpeechTask
from tests.laws.examples import PLAIN, learn, make_batch, make_task, mixed_member


@pytest.mark.parametrize("rule", [None, AdaptiveDropout()], ids=["dropout", "adaptive dropout"])
@pytest.mark.parametrize(("positions", "norm"), [("relative", "layer"), ("rotary", "layer"), ("rotary", "batch")])
def test_gradients_do_not_depend_on_activation_checkpointing(positions, norm, rule, monkeypatch):
    kind = {"positions": positions, "convolution_norm": norm, "dropout": 0.1, "adaptive_dropout": rule}
    task = make_task(layerwise=True, **kind).train()
    check(task, [mixed_member(), SubnetConfig.parse("2-12-2bit")], monkeypatch)


@pytest.mark.parametrize("straight_through", [None, StraightThrough(0.1)], ids=str)
def test_nor_do_those_of_two_sparse_members_of_one_step(straight_through, monkeypatch):
    rule = AdaptiveDropout(sparsity_power=1.0)
    zeros: dict[str, Any] = {"pattern": Blocks(4, 1), "sparsities": (0.5, 0.8), "straight_through": straight_through}
    task = make_task(layerwise=True, dropout=0.1, adaptive_dropout=rule, **zeros).train()
    names = ("1-24-3bit-s80+1-12-8bit+1-24-32bit-s50", "2-12-2bit-s50")
    check(task, [SubnetConfig.parse(name) for name in names], monkeypatch)


def check(task: SpeechTask, members: list[SubnetConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    """Compares the gradients of one backward pass through a member of three layers and one of two."""
    batch, ran = make_batch(), []

    def gradients() -> list[torch.Tensor]:
        torch.manual_seed(0)
        outputs = [learn(task, batch, member) for member in members]
        loss = torch.stack([PLAIN.losses(out, batch.labels, batch.label_lengths).sum() for out in outputs]).sum()
        parameters = list(task.parameters())
        return list(torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True))

    plain, forward = gradients(), Elastic.forward

    def watched(self: Elastic, *inputs: Any, **buffers: Any) -> Any:
        ran.append(self)
        return forward(self, *inputs, **buffers)

    monkeypatch.setattr(Elastic, "forward", watched)
    task.encoder.recompute = True
    assert all(map(torch.equal, plain, gradients()))
    assert len(ran) == 2 + 2 * (3 + 2)  # two front ends; three and two layers, each forward and recomputed
