"""The laws for members whose inputs have eight bits, too: parity, padding, purity, checkpointing and cost."""

from typing import Any

import pytest
import torch

from allinone.models import DecoderLayout
from allinone.quantization import Activations, DynamicActivations, StaticActivations
from allinone.subnet import SearchSpace, SubnetConfig
from allinone.tasks.speech import SpeechTask
from allinone.training import AdamW, Objective
from allinone.training.one_pass import Draw, assign, one_pass
from tests.laws.examples import (
    DECODER,
    calibrate,
    dense,
    learn,
    make_batch,
    make_task,
    mixed_member,
    perturb,
    stored_bytes,
)
from tests.laws.transformers import LAYOUTS, MIXED, make_transformer

TIED = DecoderLayout(num_layers=2, ffn_dim=24, num_heads=2, dropout=0.0, tied=True, places=40)
WAYS: list[Activations] = [DynamicActivations(), StaticActivations()]
SPELLING = SearchSpace((1, 2), (12, 24), (4, 32))
KINDS: dict[str, dict[str, Any]] = {
    "relative": {"positions": "relative", "front_end_bits": None},
    "batch norm": {"convolution_norm": "batch", "front_end_bits": 8},
    "hybrid": {"attention": DECODER, "decoder": SPELLING},
    "tied": {"attention": TIED, "ctc": False, "decoder": SPELLING},
}
MEMBERS = [SubnetConfig.uniform(2, 12, bits) for bits in (2, 8, 32)] + [mixed_member()]
SPELLERS = [
    SubnetConfig.parse(f"{member.name}_{above}")
    for member, above in zip(MEMBERS, ("1-12-4bit", "2-24-4bit", "1-24-32bit", "2-12-4bit"), strict=True)
]
ways = pytest.mark.parametrize("activations", WAYS, ids=lambda way: type(way).__name__)
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def make(activations: Activations | None, kind: dict[str, Any]) -> SpeechTask:
    return make_task(layerwise=True, activations=activations, **kind)


def members_of(task: SpeechTask) -> list[SubnetConfig]:
    """Members of every precision, with decoders where the space has some."""
    return MEMBERS if task.space.decoder is None else SPELLERS


def step(task: SpeechTask, members: list[SubnetConfig]) -> None:
    batch = make_batch()
    plan = assign(batch, [task.space.largest, *members], in_batch=False, step=0)
    objective, draw = Objective(ctc_weight=0.2 * task.ctc), Draw(0, 0, 0)
    one_pass(task, batch, plan, objective, scale=1.0, backward=torch.Tensor.backward, draw=draw)


@torch.no_grad()
def assert_parity(task: SpeechTask, member: SubnetConfig) -> None:
    batch = make_batch()
    learnt = learn(calibrate(task.eval(), member), batch, member, Objective(ctc_weight=0.2 * task.ctc))
    network = task.build(member)
    network.load_state_dict(dense(task.weights(member)))
    heard = network.eval()(batch.waveforms, batch.lengths)
    assert learnt.encoded.isfinite().all()
    assert torch.equal(heard.encoded, learnt.encoded)
    if learnt.log_probs is not None:
        assert torch.equal(heard.log_probs, learnt.log_probs)
    if learnt.spelt is not None:
        said = task(batch.waveforms, batch.lengths, member)  # as a search has it
        for each in (heard, said):
            assert torch.equal(each.speller(each.encoded, each.lengths, batch.labels), learnt.spelt)


@ways
@kinds
def test_extracted_subnet_equals_elastic_subnet_before_and_after_training(activations, kind):
    task = perturb(make(activations, kind))
    for member in members_of(task):
        assert_parity(task, member)
    optimizer = AdamW(lr=1e-2, scale_lr=1e-2).build(task.train())
    step(task, members_of(task)[:2])
    optimizer.step()
    for member in members_of(task):
        assert_parity(task, member)


@ways
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_extracted_subnet_equals_elastic_subnet_in_every_family(activations, layout):
    task = perturb(make_transformer(layout, attention=TIED, activations=activations))
    for member in (MIXED, SubnetConfig.parse("2-12-4bit-h2")):
        assert_parity(task, member)
    assert task.cost(MIXED).bytes_stored == stored_bytes(task, MIXED)


@ways
@kinds
def test_members_of_few_bits_round_their_inputs_and_those_of_full_precision_do_not(activations, kind):
    task, plain, batch = make(activations, kind), make(None, kind), make_batch()
    for member in members_of(task)[:3]:
        outputs = [calibrate(each.eval(), member)(batch.waveforms, batch.lengths, member) for each in (task, plain)]
        same = member.layers[0].bits == 32 and task.layout.front_end_bits != 8
        assert torch.equal(outputs[0].encoded, outputs[1].encoded) == same
