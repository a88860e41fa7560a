"""The law of cost: what is counted without building a network is what the built network has, stores and computes."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from allinone.layers import LogMelSettings
from allinone.models import conformer_small, conformer_switchboard, conformer_tiny, encoder_cost, full_precision_bytes
from allinone.models import wav2vec2_base as wav2vec2
from allinone.quantization import AbsMax, Lsq, PerChannel, PerGroup, PerTensor
from allinone.subnet import SubnetConfig
from allinone.tasks import build_network
from allinone.tasks.cost import system_cost
from allinone.text import CharTokenizer
from tests.laws.examples import DECODER, calibrate, make_layout, make_task, mixed_heads, mixed_member, stored_bytes

# All-in-one, Table 2 (Conformer, Switchboard) and Table 4 (wav2vec 2.0, LibriSpeech): ratio and millions of parameters
CONFORMER = {
    "12-2048-8bit": ("4.0", 34),
    "12-2048-4bit": ("8.0", 34),
    "12-1024-8bit": ("6.4", 21),
    "12-1024-4bit": ("12.8", 21),
    "8-2048-8bit": ("5.8", 23),
    "8-2048-4bit": ("11.7", 23),
    "8-1024-8bit": ("9.2", 15),
    "8-1024-4bit": ("18.4", 15),
}
WAV2VEC2 = {
    "12-3072-8bit": ("3.08", 94),
    "12-3072-6bit": ("3.72", 94),
    "12-2560-8bit": ("3.34", 85),
    "12-2560-6bit": ("4.00", 85),
    "11-3072-8bit": ("3.27", 87),
    "11-3072-6bit": ("3.93", 87),
    "11-2560-8bit": ("3.53", 79),
    "11-2560-6bit": ("4.22", 79),
}
# Kinds of layout: relative or rotary, separable or not, front end at its own precision or at the member's
LAYOUTS = {
    "switchboard-like": make_layout(positions="relative", separable_subsampling=False, front_end_bits=None),
    "small-like": make_layout(),
    "batch norm": make_layout(convolution_norm="batch"),
    "large heads, relative": make_layout(positions="relative", num_heads=4, head_dim=6),
    "small heads, rotary": make_layout(num_heads=4, head_dim=2),
}
MEMBERS = [SubnetConfig.parse(name) for name in ("3-24-32bit", "2-24-8bit", "3-12-4bit")] + [mixed_member()]
ATTENTIVE = [SubnetConfig.parse("2-24-8bit-h2"), mixed_heads()]


@pytest.mark.parametrize("name", CONFORMER)
def test_conformer_sizes_are_the_printed_ones(name):
    layout = conformer_switchboard()
    cost = encoder_cost(layout, SubnetConfig.parse(name), PerChannel())
    ratio, parameters = CONFORMER[name]
    assert f"{full_precision_bytes(layout, 500) / cost.bytes:.1f}" == ratio
    assert round(cost.parameters / 1e6) == parameters


@pytest.mark.parametrize("name", WAV2VEC2)
def test_wav2vec2_sizes_are_the_printed_ones(name):
    layout = wav2vec2()
    cost = system_cost(layout, None, SubnetConfig.parse(name), Lsq(PerChannel()), 32)
    ratio, parameters = WAV2VEC2[name]
    assert f"{full_precision_bytes(layout, 32) / cost.bytes:.2f}" == ratio
    assert round(cost.parameters / 1e6) == parameters


def test_the_full_conformer_has_33_51_million_parameters_and_wav2vec2_94_4():
    assert full_precision_bytes(conformer_switchboard(), 500) / 4e6 == pytest.approx(33.51, abs=0.005)
    assert full_precision_bytes(wav2vec2(), 32) / 4e6 == pytest.approx(94.396, abs=0.0005)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("member", MEMBERS + ATTENTIVE, ids=str)
def test_the_inventory_is_the_state_of_the_built_encoder(layout, member):
    listed = {spec.name: spec.shape for spec in layout.tensors(member)}
    built = {name: tuple(weight.shape) for name, weight in layout.build(member).state_dict().items()}
    assert listed == built
    assert len(list(layout.tensors(member))) == len(listed)


@pytest.mark.parametrize("quantizer", [Lsq(PerChannel()), Lsq(PerTensor()), AbsMax(), AbsMax(PerGroup(2))], ids=str)
@pytest.mark.parametrize("positions", ["relative", "rotary"])
@pytest.mark.parametrize(("front_end_bits", "norm"), [(None, "layer"), (32, "layer"), (8, "layer"), (32, "batch")])
def test_stored_bytes_are_those_of_the_effective_weights(quantizer, positions, front_end_bits, norm):
    task = make_task(
        quantizer=quantizer,
        layerwise=True,
        num_heads=4,
        head_dim=6,
        positions=positions,
        front_end_bits=front_end_bits,
        convolution_norm=norm,
    )
    calibrate(task, *MEMBERS, *ATTENTIVE)
    for member in MEMBERS + ATTENTIVE:
        assert task.cost(member).bytes_stored == stored_bytes(task, member)


@pytest.mark.parametrize("quantizer", [Lsq(), Lsq(PerGroup(2))], ids=str)
def test_stored_bytes_of_a_network_without_a_ctc_output_are_those_of_its_effective_weights(quantizer):
    task = make_task(attention=DECODER, ctc=False, quantizer=quantizer)
    for member in (task.space.largest, task.space.smallest):
        assert task.cost(member).bytes_stored == stored_bytes(task, member)
    whole = system_cost(task.layout, DECODER, task.space.largest, Lsq(), task.tokenizer.vocab_size)
    head = 4 * task.tokenizer.vocab_size * (task.layout.dim + 1)
    assert whole.bytes_stored - task.cost(task.space.largest).bytes_stored == head


def test_the_papers_rule_counts_no_head_that_is_not_there():
    layout = wav2vec2()
    assert full_precision_bytes(layout, 32) - full_precision_bytes(layout, 32, ctc=False) == 4 * 32 * (layout.dim + 1)


def test_the_head_is_stored_and_computed_but_not_counted_as_the_papers_count():
    layout, member, quantizer = make_layout(), MEMBERS[1], Lsq()
    encoder, whole = (
        encoder_cost(layout, member, quantizer.granularity),
        system_cost(layout, None, member, quantizer, 28),
    )
    assert (whole.parameters, whole.bytes) == (encoder.parameters, encoder.bytes)
    assert whole.bytes_stored - encoder.bytes_stored == 4 * (28 * layout.dim + 28)
    assert whole.macs - encoder.macs == pytest.approx(layout.frames(998) * 28 * layout.dim / 10)


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        (conformer_tiny(), "2-32-8bit"),
        (conformer_small(), "6-512-32bit"),
        (LAYOUTS["switchboard-like"], "3-12-32bit"),
        (LAYOUTS["batch norm"], "3-12-32bit"),
        (LAYOUTS["small-like"], "1-24-3bit+1-12-8bit+1-24-32bit"),
        (LAYOUTS["large heads, relative"], mixed_heads().name),
        (LAYOUTS["small heads, rotary"], mixed_heads().name),
    ],
)
def test_multiply_accumulates_are_half_the_operations_of_a_10_s_utterance(layout, name):
    """PyTorch counts two operations for each product, and no products of elements (positions, masks, norms)."""
    member, tokenizer = SubnetConfig.parse(name), CharTokenizer()
    network = build_network(layout, LogMelSettings(), tokenizer, member).eval()
    features, lengths = network.features(torch.zeros(1, 160_000), torch.tensor([160_000]))
    counter = FlopCounterMode(display=False)
    assert network.head is not None
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:  # it knows no fused attention of the CPU
        network.head(network.encoder(features, lengths)[0])
    macs = system_cost(layout, None, member, Lsq(), tokenizer.vocab_size).macs
    assert macs == pytest.approx(counter.get_total_flops() / 2 / 10, rel=1e-9)


@pytest.mark.parametrize("front_end_bits", [None, 32])
def test_stored_bytes_of_members_with_groups_of_their_own_are_those_of_their_effective_weights(front_end_bits):
    task = make_task(
        quantizer=AbsMax(), scale_groups=(None, 4, 2), layerwise=True, front_end_bits=front_end_bits, attention=DECODER
    )
    for name in ("2-24-2bit-g4", "2-12-8bit-g2", "1-24-4bit-g2+1-12-3bit+1-24-32bit"):
        member = task.space.parse(name)
        assert task.cost(member).bytes_stored == stored_bytes(task, member)
        scale = task.weights(member)["encoder.layers.0.attention.query.weight"].scale  # pyright: ignore
        assert scale.shape == (16, 16 // (member.layers[0].inputs_per_scale or 16))
