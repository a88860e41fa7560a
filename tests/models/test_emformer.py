"""Omni-sparsity's transducer has the sizes of torchaudio's, and the costs of its streaming steps."""

from dataclasses import replace
from math import prod

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from torchaudio.models import RNNT, emformer_rnnt_base

from allinone.models import EmformerTransducerLayout, encoder_cost, full_precision_bytes, omni_emformer
from allinone.quantization import PerChannel
from allinone.sparsity import Blocks
from allinone.subnet import SearchSpace, SubnetConfig
from allinone.tasks.description import describe, restore
from allinone.tasks.patterns import refuse_uneven_patterns

LAYOUT = omni_emformer()
SPACE = SearchSpace((20,), (2048,), (8,), sparsities=(0.5, 0.6, 0.7, 0.8), pattern=Blocks())
LARGEST = SPACE.largest


@pytest.fixture(scope="module")
def published() -> RNNT:
    return emformer_rnnt_base(num_symbols=4097).eval()


def sizes(module: nn.Module) -> list[int]:
    return sorted(weight.numel() for weight in module.parameters())


def listed(*parts: str) -> list[int]:
    """Sizes of the tensors of some parts; key and value, which torchaudio has in one, together."""
    specs = {spec.name: prod(spec.shape) for spec in LAYOUT.tensors(LARGEST) if spec.name.split(".")[0] in parts}
    for name in [name for name in specs if ".attention.key." in name]:
        specs[name] += specs.pop(name.replace(".key.", ".value."))
    return sorted(specs.values())


def test_each_part_has_the_tensors_of_torchaudios(published):
    assert listed("front_end", "layers", "output") == sizes(published.transcriber)
    assert listed("predictor") == sizes(published.predictor)
    assert listed("joiner") == sizes(published.joiner)


def test_it_has_76_7_million_parameters_of_which_63_45_million_are_in_linear_maps_of_the_encoder(published):
    linear = {module.weight for module in published.transcriber.modules() if isinstance(module, nn.Linear)}
    prunable = sum(prod(spec.shape) for spec in LAYOUT.tensors(LARGEST) if spec.prunable)
    assert prunable == sum(weight.numel() for weight in linear) == 63_449_088
    parameters = encoder_cost(LAYOUT, LARGEST, PerChannel()).parameters
    assert parameters == sum(sizes(published)) == full_precision_bytes(LAYOUT, 4097, ctc=False) / 4 == 76_738_049


@pytest.mark.parametrize(("zeros", "megabytes"), [("", 77), ("-s50", 45), ("-s60", 39), ("-s70", 32), ("-s80", 26)])
def test_sizes_are_the_printed_ones(zeros, megabytes):
    cost = encoder_cost(LAYOUT, SPACE.parse(f"20-2048-8bit{zeros}"), PerChannel(), SPACE)
    assert round(cost.bytes / 1e6) == megabytes


@torch.no_grad()
def test_computations_are_those_of_streaming(published):
    """A step takes a segment of 16 feature frames and 4 to its right; layers see 30 encoder frames to its left."""
    frames, state = LAYOUT.segment + LAYOUT.right_context, None
    length = torch.tensor([frames])
    for _ in range(9):  # until there are 30 to the left
        _, _, state = published.transcribe_streaming(torch.randn(1, frames, LAYOUT.bands), length, state)
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):
        published.transcribe_streaming(torch.randn(1, frames, LAYOUT.bands), length, state)
    segments = LAYOUT.ten_seconds / LAYOUT.segment
    macs = encoder_cost(LAYOUT, LARGEST, PerChannel()).macs
    assert macs == pytest.approx(counter.get_total_flops() / 2 * segments / 10, rel=1e-9)


def test_fewer_layers_units_and_heads_are_counted():
    """A head of 64 channels has 4 * 512 * 64 weights and 3 * 64 biases; a unit 2 * 512 and one; a layer three norms."""
    base = encoder_cost(LAYOUT, LARGEST, PerChannel()).parameters
    for name, fewer in (
        ("20-2048-8bit-h7", 20 * (4 * 512 * 64 + 3 * 64)),
        ("20-2047-8bit", 20 * (2 * 512 + 1)),
        ("19-2048-8bit", 4 * (512 * 512 + 512) + 2 * 512 * 2048 + 512 + 2048 + 3 * 2 * 512),
    ):
        assert base - encoder_cost(LAYOUT, SubnetConfig.parse(name), PerChannel()).parameters == fewer, name


def test_the_linear_maps_around_the_layers_are_as_sparse_as_the_layers_beside_them():
    member = SubnetConfig.parse("1-2048-8bit-s50+18-2048-8bit+1-2048-8bit-s80")
    specs = {spec.name: spec for spec in LAYOUT.tensors(member)}
    assert [specs[name].threshold for name in ("front_end.linear.weight", "output.linear.weight")] == [100, 160]
    ends = 10_240 / 2 + 524_288 * 0.8 + 3_145_728 * (0.5 + 0.8)
    dense = encoder_cost(LAYOUT, LARGEST, PerChannel()).bytes
    assert dense - encoder_cost(LAYOUT, member, PerChannel(), SPACE).bytes == pytest.approx(ends, abs=3 * 8 * 8)


def test_blocks_of_eight_outputs_fit_it():
    refuse_uneven_patterns(LAYOUT, SPACE, None)


def test_frames_are_stacked_by_four():
    assert [LAYOUT.frames(count) for count in (3, 4, 998)] == [0, 1, 249]


def test_it_comes_back_from_its_description():
    assert restore(describe(LAYOUT)) == LAYOUT


def test_it_cannot_be_built_yet():
    with pytest.raises(
        ValueError, match=r"must have code to be built; found an EmformerTransducerLayout, .*\. Count its"
    ):
        LAYOUT.build(LARGEST)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"num_heads": 7}, "units to be a multiple of num_heads; found units=512 and num_heads=7"),
        ({"stack": 3}, "units to be a multiple of stack; found units=512 and stack=3"),
        ({"segment": 6}, "segment to be a multiple of stack; found segment=6 and stack=4"),
        ({"right_context": 2}, "right_context to be a multiple of stack; found right_context=2 and stack=4"),
        ({"num_heads": 0}, "found units=512 and num_heads=0"),
    ],
    ids=str,
)
def test_impossible_sizes_are_refused(changes, found):
    with pytest.raises(ValueError, match=rf"An Emformer requires .*{found}\. Change one"):
        replace(LAYOUT, **changes)
    with pytest.raises(ValueError, match="The precision of the front end must be one of"):
        EmformerTransducerLayout(**vars(LAYOUT) | {"front_end_bits": 9})
