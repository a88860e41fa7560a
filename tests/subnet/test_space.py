"""The search space contains, counts, orders and draws its members."""

import random
from dataclasses import replace

import pytest

from allinone.subnet import LayerConfig, SearchSpace, SubnetConfig

SPACE = SearchSpace((8, 12), (1024, 2048), (4, 8))
HEADS = SearchSpace((2, 3), (32, 64), (4, 8), heads=(1, 2, 4))
BOTH = SearchSpace((2, 3), (32, 64), (8,), decoder=SearchSpace((1, 2), (16,), (4, 32)))


def test_members_are_ordered_from_the_largest_to_the_smallest():
    names = [member.name for member in SPACE.uniform_members()]
    assert names == [f"{d}-{w}-{b}bit" for d in (12, 8) for w in (2048, 1024) for b in (8, 4)]
    assert (SPACE.largest.name, SPACE.smallest.name) == (names[0], names[-1])
    assert SPACE.count() == len(names)


def test_heads_are_ordered_after_width_and_before_bits():
    names = [member.name for member in HEADS.uniform_members()]
    assert names == [f"{d}-{w}-{b}bit-h{h}" for d in (3, 2) for w in (64, 32) for h in (4, 2, 1) for b in (8, 4)]
    assert (HEADS.largest.name, HEADS.smallest.name) == (names[0], names[-1])
    assert HEADS.count() == len(names)


def test_a_member_carries_a_number_of_heads_exactly_if_the_space_has_some():
    assert SubnetConfig.parse("3-64-8bit-h2") in HEADS
    for name in ("3-64-8bit", "3-64-8bit-h3", "1-64-8bit-h2+2-64-8bit-h4"):
        assert SubnetConfig.parse(name) not in HEADS
    layerwise = replace(HEADS, layerwise=True)
    assert SubnetConfig.parse("1-64-8bit-h2+2-64-8bit-h4") in layerwise
    assert SubnetConfig.parse("1-64-8bit-h2+2-64-8bit") not in layerwise
    assert SubnetConfig.parse("12-2048-8bit") in SPACE
    assert SubnetConfig.parse("12-2048-8bit-h4") not in SPACE


@pytest.mark.parametrize(("heads", "choices"), [((), 4), ((2, 4), 8)])
def test_a_layerwise_space_counts_every_choice(heads, choices):
    space = SearchSpace((1, 2), (8, 16), (4, 8), layerwise=True, heads=heads)
    assert space.count() == choices + choices**2
    drawn = {space.sample(generator) for generator in [random.Random(0)] for _ in range(2000)}
    assert len(drawn) == space.count()
    assert all(member in space for member in drawn)


def test_every_encoder_goes_with_every_decoder_encoders_first():
    names = [member.name for member in BOTH.uniform_members()]
    encoders = [f"{d}-{w}-8bit" for d in (3, 2) for w in (64, 32)]
    assert names == [f"{encoder}_{d}-16-{b}bit" for encoder in encoders for d in (2, 1) for b in (32, 4)]
    assert (BOTH.largest.name, BOTH.smallest.name) == (names[0], names[-1])
    assert BOTH.count() == len(names) == 16


def test_all_of_the_product_is_drawn():
    layerwise = replace(BOTH, decoder=SearchSpace((1, 2), (16, 32), (4,), layerwise=True))
    for space, count in ((BOTH, 16), (layerwise, 4 * (2 + 4)), (replace(layerwise, layerwise=True), (4 + 8) * 6)):
        drawn = {space.sample(generator) for generator in [random.Random(0)] for _ in range(3000)}
        assert len(drawn) == space.count() == count
        assert all(member in space for member in drawn)


@pytest.mark.parametrize("layerwise", [False, True])
def test_without_a_decoder_nothing_is_drawn_but_depth_and_layers(layerwise):
    space, generator, by_hand = SearchSpace((2, 3), (32, 64), (4, 8), layerwise), random.Random(5), random.Random(5)
    choices = [LayerConfig(width, bits) for width in (32, 64) for bits in (4, 8)]
    for _ in range(50):
        depth = by_hand.choice((2, 3))
        layers = [by_hand.choice(choices) for _ in range(depth if layerwise else 1)]
        assert space.sample(generator).layers == tuple(layers if layerwise else layers * depth)
    assert generator.getstate() == by_hand.getstate()


def test_a_decoders_numbers_of_heads_are_chosen_like_an_encoders():
    space = SearchSpace((2,), (32,), (8,), decoder=HEADS)
    names = [member.name for member in space.uniform_members()]
    assert names == [f"2-32-8bit_{member.name}" for member in HEADS.uniform_members()]
    assert {space.sample(generator).name for generator in [random.Random(0)] for _ in range(1000)} == set(names)
    assert [space.parse(name).name for name in names] == names
    assert replace(HEADS, decoder=HEADS).largest.name == "3-64-8bit-h4_3-64-8bit-h4"
    message = r"a decoder with .*, 1 or 2 or 4 heads and .*; found '2-32-8bit_3-64-8bit-h3'\. .* 2-32-8bit_3-64-8bit-h"
    with pytest.raises(ValueError, match=message):
        space.parse("2-32-8bit_3-64-8bit-h3")


def test_a_member_has_a_decoder_part_exactly_if_the_space_has_a_decoder():
    assert SubnetConfig.parse("3-64-8bit_2-16-4bit") in BOTH
    assert SubnetConfig.parse("3-64-8bit") not in BOTH
    assert SubnetConfig.parse("3-64-8bit_2-16-8bit") not in BOTH
    assert SubnetConfig.parse("3-64-8bit_1-16-4bit+1-16-32bit") not in BOTH
    assert SubnetConfig.parse("12-2048-8bit_2-16-4bit") not in SPACE


def test_a_layerwise_encoder_does_not_make_the_decoder_layerwise():
    space = replace(BOTH, layerwise=True)
    assert SubnetConfig.parse("1-64-8bit+1-32-8bit_2-16-4bit") in space
    assert SubnetConfig.parse("2-64-8bit_1-16-4bit+1-16-32bit") not in space


def test_uniform_members_are_all_only_if_neither_part_is_layerwise():
    assert BOTH.all_uniform
    assert not replace(BOTH, layerwise=True).all_uniform
    assert not replace(BOTH, decoder=SearchSpace((1,), (8,), layerwise=True)).all_uniform


def test_values_are_sorted_and_lists_become_tuples():
    assert SearchSpace([12, 8, 8], [2048, 1024], [8, 4]) == SPACE  # pyright: ignore[reportArgumentType]
    assert replace(HEADS, heads=[4, 1, 2, 4]) == HEADS  # pyright: ignore[reportArgumentType]


def test_membership_asks_for_equal_layers_unless_layerwise():
    mixed = SubnetConfig((LayerConfig(8, 4), LayerConfig(16, 4)))
    assert mixed in SearchSpace((2,), (8, 16), (4,), layerwise=True)
    assert mixed not in SearchSpace((2,), (8, 16), (4,))
    assert SubnetConfig.uniform(9, 1024, 4) not in SPACE


def test_largest_and_smallest_are_names():
    assert (SPACE.parse("largest"), SPACE.parse("smallest")) == (SPACE.largest, SPACE.smallest)


def test_a_name_outside_the_space_is_refused_with_the_nearest_names():
    with pytest.raises(ValueError, match=r"a depth of 8 or 12, .*found '12-1024-2bit'\. The nearest") as error:
        SPACE.parse("12-1024-2bit")
    assert "12-1024-4bit" in str(error.value)
    with pytest.raises(ValueError, match=r"same in every layer, and no decoder part; found '12-1024-4bit_1-8-4bit'\."):
        SPACE.parse("12-1024-4bit_1-8-4bit")
    message = r"after an underscore a decoder with a depth of 1 or 2, .*; found '3-64-8bit'\. .* 3-64-8bit_2-16-4bit"
    with pytest.raises(ValueError, match=message):
        BOTH.parse("3-64-8bit")
    assert BOTH.parse("3-64-8bit_2-16-4bit").name == "3-64-8bit_2-16-4bit"
    message = r"a width of 32 or 64, 1 or 2 or 4 heads and 4 or 8 bits, .*; found '3-64-8bit'\. .* 3-64-8bit-h"
    with pytest.raises(ValueError, match=message):
        HEADS.parse("3-64-8bit")
    with pytest.raises(ValueError, match=r"2048 and 4 or 8 bits, .*; found '12-2048-8bit-h4'\. .* are 12-2048-8bit,"):
        SPACE.parse("12-2048-8bit-h4")


def test_impossible_spaces_are_refused():
    with pytest.raises(ValueError, match=r"at least one value for its widths; found none\. Add one"):
        SearchSpace((1,), (), (8,))
    with pytest.raises(ValueError, match="Depths must be at least 1 layer; found 0"):
        SearchSpace((0, 1), (8,), (8,))
    with pytest.raises(ValueError, match="Bits must be one of"):
        SearchSpace((1,), (8,), (9,))
    with pytest.raises(ValueError, match=r"must have no decoder of its own; found one\. Leave out"):
        SearchSpace((1,), (8,), decoder=BOTH)
    with pytest.raises(ValueError, match="needs at least 1 attention head; found 0"):
        SearchSpace((1,), (8,), heads=(0, 2))
