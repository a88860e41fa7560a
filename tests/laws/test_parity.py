"""The law of parity: an extracted member computes exactly what the supernet computes as that member."""

import io

import pytest
import torch

from allinone.quantization import AbsMax, Lsq, Nested, PerChannel, PerGroup, PerTensor
from allinone.subnet import SubnetConfig
from allinone.tasks import SpeechNetwork
from allinone.tasks.speech import SpeechTask
from allinone.training import AdamW, Objective
from allinone.training.one_pass import Draw, assign, one_pass
from tests.laws.examples import (
    ALL_BITS,
    DECODER,
    calibrate,
    dense,
    learn,
    make_batch,
    make_task,
    mixed_heads,
    mixed_member,
    perturb,
)

KINDS = [
    pytest.param(
        {"positions": positions, "separable_subsampling": separable, "front_end_bits": bits, "convolution_norm": norm},
        id=name,
    )
    for name, positions, separable, bits, norm in (
        ("relative", "relative", False, None, "layer"),
        ("rotary", "rotary", True, 32, "layer"),
        ("front end of 8 bits", "rotary", True, 8, "layer"),
        ("batch norm", "rotary", True, None, "batch"),
    )
]
HEADS = {"heads": (1, 2, 4), "num_heads": 4}  # and of a size that is not a quarter of the model's dimension
KINDS += [
    pytest.param(HEADS | {"positions": "relative", "head_dim": 6}, id="heads, relative"),
    pytest.param(HEADS | {"positions": "rotary", "head_dim": 2, "convolution_norm": "batch"}, id="heads, rotary"),
]
QUANTIZERS = [Lsq(PerChannel()), Lsq(PerTensor()), AbsMax(PerChannel()), AbsMax(PerTensor())]
QUANTIZERS += [Lsq(PerGroup(2)), AbsMax(PerGroup(2)), Nested(PerChannel()), Nested(PerGroup(2))]
MEMBERS = [SubnetConfig.uniform(2, 12, bits) for bits in ALL_BITS] + [SubnetConfig.uniform(3, 24, 4), mixed_member()]
ATTENTIVE = [SubnetConfig.uniform(2, 12, bits, heads=1 + bits % 2) for bits in ALL_BITS]
ATTENTIVE += [SubnetConfig.uniform(3, 24, 4, heads=4), mixed_heads()]


def members_of(task: SpeechTask) -> list[SubnetConfig]:
    """Members of every kind, with numbers of heads where the space has some."""
    return ATTENTIVE if task.space.heads else MEMBERS


def extract(task: SpeechTask, member: SubnetConfig) -> SpeechNetwork:
    network = task.build(member)
    network.load_state_dict(dense(task.weights(member)))  # strict: exactly the names of the plain network
    return network.eval()


@torch.no_grad()
def assert_parity(task: SpeechTask, member: SubnetConfig) -> None:
    batch = make_batch()
    calibrate(task.eval(), member)
    elastic = task(batch.waveforms, batch.lengths, member)
    extracted = extract(task, member)(batch.waveforms, batch.lengths)
    assert elastic.log_probs.isfinite().all()
    assert torch.equal(extracted.lengths, elastic.lengths)
    assert torch.equal(extracted.log_probs, elastic.log_probs)


@pytest.mark.parametrize("ctc", [True, False], ids=["hybrid", "attention"])
@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=str)
def test_the_extracted_decoder_spells_as_the_elastic_one_learns(quantizer, ctc):
    task, batch = perturb(make_task(quantizer=quantizer, attention=DECODER, ctc=ctc)).eval(), make_batch()
    for member in (task.space.largest, task.space.smallest):
        with torch.no_grad():
            learnt = learn(task, batch, member)
            heard = extract(task, member)(batch.waveforms, batch.lengths)
            assert heard.speller is not None
            spelt = heard.speller(heard.encoded, heard.lengths, batch.labels)
        assert learnt.spelt is not None
        assert torch.equal(spelt, learnt.spelt)
        assert torch.equal(heard.encoded, learnt.encoded)
        assert (heard.log_probs is not None) == (learnt.log_probs is not None) == ctc


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=str)
def test_extracted_subnet_equals_elastic_subnet(kind, quantizer):
    task = make_task(quantizer=quantizer, layerwise=True, **kind)
    for member in members_of(task):
        assert_parity(task, member)
    perturb(task)
    for member in members_of(task):
        assert_parity(task, member)


@pytest.mark.parametrize("kind", [*KINDS, pytest.param({"quantizer": Lsq(PerGroup(2))}, id="groups")])
def test_extracted_subnet_equals_elastic_subnet_after_training(kind):
    task = make_task(layerwise=True, **kind).train()
    optimizer = AdamW(lr=1e-2, scale_lr=1e-2).build(task)
    for step in range(3):
        batch = make_batch(seed=step)
        members = [task.space.largest, members_of(task)[step], members_of(task)[-1]]
        draw = Draw(0, step, 0)
        plan = assign(batch, members, in_batch=False, step=0)
        one_pass(task, batch, plan, Objective(), scale=1 / 3, backward=torch.Tensor.backward, draw=draw)
        optimizer.step()
        optimizer.zero_grad()
    for member in members_of(task):
        assert_parity(task, member)


@pytest.mark.parametrize("name", ["3-24-2bit-g4", "2-12-8bit-g2", "1-24-4bit-g2+1-12-3bit-g4+1-24-32bit"])
def test_extracted_subnet_equals_elastic_subnet_with_scale_groups_of_its_own(name):
    task = perturb(make_task(quantizer=AbsMax(), scale_groups=(2, 4, None), layerwise=True, front_end_bits=None))
    assert_parity(task, task.space.parse(name))


@pytest.mark.parametrize("kind", [{}, HEADS | {"head_dim": 6}], ids=["all heads", "heads"])
def test_extracted_subnet_equals_elastic_subnet_after_save_and_load(kind):
    task, batch = perturb(make_task(layerwise=True, **kind)), make_batch()
    file = io.BytesIO()
    torch.save(task.state_dict(), file)
    file.seek(0)
    loaded = make_task(layerwise=True, seed=1, **kind)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    for member in members_of(task):
        assert_parity(loaded, member)
        with torch.no_grad():
            before = task.eval()(batch.waveforms, batch.lengths, member).log_probs
            after = extract(loaded, member)(batch.waveforms, batch.lengths).log_probs
        assert torch.equal(before, after)


def test_the_extracted_network_owns_its_weights():
    """Further training of the supernet leaves what was extracted before alone, at full precision too."""
    task = make_task()
    weights = dense(task.weights(SubnetConfig.uniform(2, 12, 32)))
    copies = {name: weight.clone() for name, weight in weights.items()}
    perturb(task)
    assert all(torch.equal(weights[name], copies[name]) for name in weights)


@pytest.mark.parametrize("positions", ["relative", "rotary"])
def test_members_of_different_bits_or_heads_differ(positions):
    """Guards the tests above: parity would hold trivially if bits or heads changed nothing."""
    task, batch = make_task(positions=positions, **HEADS), make_batch()
    members = [SubnetConfig.uniform(2, 12, bits) for bits in ALL_BITS]  # all heads
    members += [SubnetConfig.uniform(2, 12, 32, heads) for heads in (1, 2)]
    with torch.no_grad():
        outputs = [task.eval()(batch.waveforms, batch.lengths, member).log_probs for member in members]
    for index, output in enumerate(outputs):
        assert all(not torch.equal(output, other) for other in outputs[:index])
