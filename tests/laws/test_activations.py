"""The laws for members whose inputs have eight bits, too: parity, padding, purity, checkpointing and cost."""

from typing import Any, cast

import pytest
import torch

from allinone.layers.linear import INPUT_SCALE
from allinone.models import DecoderLayout
from allinone.quantization import AbsMax, Activations, DynamicActivations, StaticActivations
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
    return make_task(layerwise=True, quantizer=AbsMax(), activations=activations, **kind)


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
    task = perturb(make_transformer(layout, AbsMax(), attention=TIED, activations=activations))
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


@ways
@torch.no_grad()
def test_an_utterance_does_not_depend_on_its_batch(activations):
    """What stands in the padding moves nothing; sums in another order move some inputs to the next integer."""
    task, batch = perturb(make(activations, KINDS["relative"])).eval(), make_batch((1.3, 0.61))
    noisy, member, one = batch.waveforms.clone(), MEMBERS[1], batch.select([1])
    noisy[1, int(batch.lengths[1]) :] = 100.0
    noisy[0] *= 10
    together, dirty = (task(waveforms, batch.lengths, member) for waveforms in (batch.waveforms, noisy))
    frames = int(together.lengths[1])
    assert torch.equal(together.log_probs[1, :frames], dirty.log_probs[1, :frames])
    alone = task(one.waveforms, one.lengths, member)
    assert (alone.log_probs[0] - together.log_probs[1, :frames]).abs().mean() < 1e-3


@ways
def test_running_one_member_changes_nothing_in_another(activations):
    task, batch = perturb(make(activations, KINDS["hybrid"])).train(), make_batch()
    before = {name: tensor.clone() for name, tensor in task.state_dict().items()}
    outputs = [cast(torch.Tensor, learn(task, batch, member).spelt) for member in (*SPELLERS, *SPELLERS)]
    assert all(map(torch.equal, outputs[: len(SPELLERS)], outputs[len(SPELLERS) :]))
    assert all(torch.equal(tensor, before[name]) for name, tensor in task.state_dict().items())


@ways
def test_gradients_do_not_depend_on_activation_checkpointing(activations):
    task = make(activations, KINDS["relative"]).train()

    def gradients() -> list[torch.Tensor]:
        task.zero_grad()
        step(task, MEMBERS[:1])
        return [torch.zeros(()) if weight.grad is None else weight.grad.clone() for weight in task.parameters()]

    plain = gradients()
    task.encoder.recompute = True
    assert all(map(torch.equal, plain, gradients()))
    learned = [weight.grad for name, weight in task.named_parameters() if "inputs.log_scales" in name]
    assert len(learned) == (3 * 11 + 1) * isinstance(activations, StaticActivations)
    used = sum(gradient is not None and bool(gradient) for gradient in learned)
    assert used > len(learned) / 2 or not learned


@ways
@kinds
def test_stored_bytes_are_those_of_the_effective_weights(activations, kind):
    task, plain = make(activations, kind), make(None, kind)
    for member in members_of(task):
        calibrate(task, member)
        assert task.cost(member).bytes_stored == stored_bytes(task, member)
        scales = [weight for name, weight in task.weights(member).items() if name.endswith(INPUT_SCALE)]
        more = 4 * len(scales) * isinstance(activations, StaticActivations)
        assert task.cost(member).bytes_stored - plain.cost(member).bytes_stored == more
