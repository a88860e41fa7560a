"""The laws for Transformer encoders of every family: parity, padding, purity, checkpointing and cost."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from allinone.layers import TimeMasks
from allinone.quantization import AbsMax, Lsq, PerTensor
from allinone.subnet import SubnetConfig
from allinone.tasks.cost import system_cost
from allinone.tasks.speech import SpeechTask
from allinone.training import AdamW, Objective
from allinone.training.one_pass import Draw, assign, one_pass
from tests.laws.examples import DECODER, dense, make_batch, perturb, stored_bytes
from tests.laws.transformers import LAYOUTS, MEMBERS, MIXED, make_transformer

families = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
TOLERANCE = 1e-5  # sums over longer padded rows run in another order


def gradients(task: SpeechTask, step: int = 0, members=MEMBERS) -> list[torch.Tensor]:
    task.zero_grad()
    batch = make_batch()
    plan = assign(batch, [task.space.largest, *members], in_batch=False, step=0)
    one_pass(task, batch, plan, Objective(), scale=1.0, backward=torch.Tensor.backward, draw=Draw(0, step, 0))
    return [torch.zeros(()) if weight.grad is None else weight.grad.clone() for weight in task.parameters()]


@torch.no_grad()
def assert_parity(task: SpeechTask, member: SubnetConfig) -> None:
    batch = make_batch()
    elastic = task.eval()(batch.waveforms, batch.lengths, member)
    network = task.build(member)
    network.load_state_dict(dense(task.weights(member)))
    extracted = network.eval()(batch.waveforms, batch.lengths)
    assert elastic.log_probs.isfinite().all()
    assert torch.equal(extracted.lengths, elastic.lengths)
    assert torch.equal(extracted.log_probs, elastic.log_probs)


@families
@pytest.mark.parametrize("quantizer", [Lsq(), AbsMax(), Lsq(PerTensor())], ids=str)
def test_extracted_subnet_equals_elastic_subnet(layout, quantizer):
    task = perturb(make_transformer(layout, quantizer))
    for member in MEMBERS:
        assert_parity(task, member)


@families
def test_extracted_subnet_equals_elastic_subnet_after_training(layout):
    task = make_transformer(layout, augment=TimeMasks(0.3, 4), layer_drop=0.2).train()
    frozen = [weight.clone() for weight in task.parameters() if not weight.requires_grad]
    optimizer = AdamW(lr=1e-2, scale_lr=1e-2).build(task)
    for step in range(2):
        gradients(task, step)
        optimizer.step()
    assert all(map(torch.equal, frozen, [weight for weight in task.parameters() if not weight.requires_grad]))
    for member in MEMBERS:
        assert_parity(task, member)


@families
@pytest.mark.parametrize("member", MEMBERS, ids=str)
def test_an_utterance_does_not_depend_on_its_batch(layout, member):
    task = perturb(make_transformer(layout)).eval()
    batch = make_batch((1.3, 0.83, 0.61, 0.4, 0.32))
    noisy = batch.waveforms.clone()
    for index, length in enumerate(batch.lengths.tolist()):
        noisy[index, length:] = 100.0
    with torch.no_grad():
        together, dirty = (task(waveforms, batch.lengths, member) for waveforms in (batch.waveforms, noisy))
        for index in range(len(batch)):
            one = batch.select([index])
            alone = task(one.waveforms, one.lengths, member)
            frames = int(alone.lengths[0])
            assert frames == task.frames(int(one.lengths[0])) == int(together.lengths[index])
            torch.testing.assert_close(
                together.log_probs[index, :frames], alone.log_probs[0, :frames], rtol=0, atol=TOLERANCE
            )
            torch.testing.assert_close(
                dirty.log_probs[index, :frames], together.log_probs[index, :frames], rtol=0, atol=TOLERANCE
            )


@families
def test_the_gradients_of_a_step_do_not_depend_on_what_was_run_before_it(layout):
    task = make_transformer(layout, augment=TimeMasks(0.3, 4), layer_drop=0.3).train()
    first, other = gradients(task), gradients(task, 1)
    assert all(map(torch.equal, first, gradients(task)))
    assert not all(map(torch.equal, first, other))


@families
def test_gradients_do_not_depend_on_activation_checkpointing(layout):
    task = make_transformer(layout, attention=DECODER).train()
    plain = gradients(task)
    task.encoder.recompute = True
    for one, other in zip(plain, gradients(task), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@families
def test_whoever_is_trained_learns_and_what_is_frozen_does_not(layout):
    task = make_transformer(layout, augment=TimeMasks(0.5, 4)).train()
    gradients(task)
    rows = {name for name, weight in task.named_parameters() if "log_scales" in name}
    for name, weight in task.named_parameters():
        trained = weight.grad is not None and bool(weight.grad.abs().sum() > 0)
        if not weight.requires_grad:
            assert weight.grad is None, name
        elif name not in rows and not name.endswith("key.bias"):  # a bias of keys moves all scores alike
            assert trained, name


@families
def test_the_inventory_is_the_state_of_the_built_encoder(layout):
    for member in MEMBERS:
        listed = {spec.name: spec.shape for spec in layout.tensors(member)}
        built = {name: tuple(weight.shape) for name, weight in layout.build(member).state_dict().items()}
        assert listed == built


@families
def test_stored_bytes_are_those_of_the_effective_weights(layout):
    task = make_transformer(layout)
    for member in MEMBERS:
        assert task.cost(member).bytes_stored == stored_bytes(task, member)


@families
def test_multiply_accumulates_are_half_the_operations_of_a_10_s_utterance(layout):
    task, member = make_transformer(layout), MIXED
    network = task.build(member).eval()
    features, lengths = network.features(torch.randn(1, 160_000), torch.tensor([160_000]))
    counter = FlopCounterMode(display=False)
    assert network.head is not None
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        network.head(network.encoder(features, lengths)[0])
    macs = system_cost(layout, None, member, Lsq(), task.tokenizer.vocab_size).macs
    assert macs == pytest.approx(counter.get_total_flops() / 2 / 10, rel=1e-9)
