"""Scales for groups of inputs are a part of a member's name, and a dimension of a space."""

import random
from dataclasses import replace

import pytest

from allinone.sparsity import NOfM
from allinone.subnet import LayerConfig, SearchSpace, SubnetConfig, WarmUp

SPACE = SearchSpace((2, 3), (32, 64), (2, 8, 32), scale_groups=(16, None, 32))


def names(space: SearchSpace) -> list[str]:
    return [member.name for member in space.uniform_members()]


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("32-6144-2bit-g96", LayerConfig(6144, 2, inputs_per_scale=96)),
        ("4-512-4bit-g16-h2", LayerConfig(512, 4, 2, inputs_per_scale=16)),
        ("4-512-4bit-g16-s50", LayerConfig(512, 4, sparsity=0.5, inputs_per_scale=16)),
        ("4-512-4bit-g16-h2-2of4", LayerConfig(512, 4, 2, 0.5, 4, 16)),
    ],
)
def test_a_name_tells_how_many_inputs_share_a_scale(name, layer):
    assert SubnetConfig.parse(name) == SubnetConfig((layer,) * int(name.split("-")[0]))
    assert SubnetConfig.parse(name).name == name


@pytest.mark.parametrize("inputs", [0, -4, 1.5, "64", True])
def test_a_group_that_is_no_number_of_inputs_is_refused(inputs):
    with pytest.raises(ValueError, match=r"must be that of a whole number of inputs, 1 or more; found .* Give such"):
        LayerConfig(64, 4, inputs_per_scale=inputs)
    with pytest.raises(ValueError, match=r"must be that of a whole number of inputs, 1 or more; found .* Give such"):
        SearchSpace((2,), (64,), (4,), scale_groups=(inputs,))


def test_groups_at_full_precision_are_refused():
    message = "Only layers of few bits have scales; found one for every 64 inputs at 32 bits. Leave the group out, or"
    with pytest.raises(ValueError, match=message):
        SubnetConfig.parse("2-64-32bit-g64")
    with pytest.raises(ValueError, match=message):
        SearchSpace((2,), (64,), (32,), scale_groups=(64,))


def test_members_below_full_precision_have_the_groups_of_the_space_the_most_scales_first():
    groups = [f"{bits}bit{group}" for bits in (8, 2) for group in ("-g16", "-g32", "")]
    layers = [f"{width}-{precision}" for width in (64, 32) for precision in ("32bit", *groups)]
    assert names(SPACE) == [f"{depth}-{layer}" for depth in (3, 2) for layer in layers]
    assert SPACE.count() == len(names(SPACE))
    assert (SPACE.largest.name, SPACE.smallest.name) == ("3-64-32bit", "2-32-2bit")
    few = replace(SPACE, bits=(2, 8), scale_groups=(16, 32))
    assert (few.largest.name, few.smallest.name) == ("3-64-8bit-g16", "2-32-2bit-g32")
    assert SubnetConfig.parse("2-32-2bit") not in few
    with pytest.raises(ValueError, match="below 32 bits a scale for 32 or 16 inputs, the same in every layer; found"):
        few.parse("2-32-2bit")


def test_layers_choose_their_groups_alone_in_a_layerwise_space():
    space = replace(SPACE, depths=(2,), layerwise=True, sparsities=(0, 0.5), pattern=NOfM(4))
    assert space.count() == (2 * 7 * 2) ** 2
    assert SubnetConfig.parse("1-32-8bit-g16-2of4+1-32-32bit") in space
    drawn = {space.sample(random.Random(seed)).layers[0].inputs_per_scale for seed in range(30)}
    assert drawn == {None, 16, 32}


def test_groups_of_encoder_and_decoder_go_together():
    space = SearchSpace(
        (2,),
        (64,),
        (4, 32),
        scale_groups=(16, 32),
        together=True,
        decoder=SearchSpace((1,), (32,), (8,), scale_groups=(4,)),
    )
    expected = ["2-64-32bit_1-32-8bit-g4", "2-64-4bit-g16_1-32-8bit-g4", "2-64-4bit-g32_1-32-8bit-g4"]
    assert names(space) == expected
    assert (space.count(), [member in space for member in map(SubnetConfig.parse, expected)]) == (3, [True] * 3)
    with pytest.raises(ValueError, match=r"below 32 bits a scale for 32_4 or 16_4 inputs, the same"):
        space.parse("2-64-4bit-g8_1-32-8bit-g4")
    with pytest.raises(ValueError, match="require equally many scale_groups, or a single value on one side"):
        replace(space, decoder=SearchSpace((1,), (32,), (8,), scale_groups=(4, 8, 16)))


def test_groups_open_in_a_warm_up_and_need_few_bits():
    few = replace(SPACE, bits=(2, 8))
    assert WarmUp(4, ("scale_groups",)).space(0, few) == replace(few, scale_groups=(16,))
    assert WarmUp(4, ("bits",)).space(0, SPACE) == replace(SPACE, bits=(32,), scale_groups=())
    for step in range(5):
        assert WarmUp(4, ("bits", "scale_groups")).space(step, SPACE).largest == SPACE.largest


def test_the_papers_bits_have_the_scales_and_masks_in_them():
    """USM-Lite: 32 bits for a scale, one for the mask of each weight of N:M; other zeros are not bits of a weight."""
    bits = {name: SubnetConfig.parse(f"1-8-{name}").layers[0].paper_bits for name in ("8bit", "4bit-s50", "2bit-g96")}
    assert bits == {"8bit": 8, "4bit-s50": 4, "2bit-g96": 2 + 1 / 3}
    assert SubnetConfig.parse("1-8-4bit-g16-1of4").layers[0].paper_bits == 4 / 4 + 1 + 32 / 16
