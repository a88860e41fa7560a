"""Encoder and decoder that choose together have one choice for both in each dimension."""

import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from allinone.subnet import FixedSampler, GridSampler, SandwichSampler, SearchSpace, SubnetConfig, WarmUp

WHISPER = SearchSpace(
    (4,), (768, 1536), (4, 8), decoder=SearchSpace((2, 4), (768, 1536), (4, 8)), together=True
)  # one depth of the encoder, and two of the decoder
HEADS = replace(WHISPER, heads=(4, 6), decoder=SearchSpace((2, 4), (768, 1536), (4, 8), heads=(3, 5)))
UNEQUAL = SearchSpace(
    (2, 3, 6), (32,), (8, 32), heads=(4,), decoder=SearchSpace((1, 2, 4), (16, 24), (4, 6)), together=True
)
SPACES = [WHISPER, HEADS, UNEQUAL]
IDS = ["whisper", "heads", "unequal"]


def names(space: SearchSpace) -> list[str]:
    return [member.name for member in space.uniform_members()]


def test_two_times_two_times_two_choices_are_eight_members_from_the_largest_to_the_smallest():
    assert names(WHISPER) == [
        "4-1536-8bit_4-1536-8bit",
        "4-1536-4bit_4-1536-4bit",
        "4-768-8bit_4-768-8bit",
        "4-768-4bit_4-768-4bit",
        "4-1536-8bit_2-1536-8bit",
        "4-1536-4bit_2-1536-4bit",
        "4-768-8bit_2-768-8bit",
        "4-768-4bit_2-768-4bit",
    ]


def test_the_kth_of_one_goes_with_the_kth_of_the_other_and_a_single_value_with_all():
    assert names(UNEQUAL) == [
        f"{depth}-32-{bits}bit-h4_{above}-{width}-{bits_above}bit"
        for depth, above in ((6, 4), (3, 2), (2, 1))
        for width in (24, 16)
        for bits, bits_above in ((32, 6), (8, 4))
    ]


def test_heads_are_ordered_after_width_and_before_bits():
    assert names(HEADS)[:8] == [
        f"4-{width}-{bits}bit-h{heads}_4-{width}-{bits}bit-h{above}"
        for width in (1536, 768)
        for heads, above in ((6, 5), (4, 3))
        for bits in (8, 4)
    ]
    whole = replace(HEADS, decoder=replace(WHISPER, together=False).decoder)  # all heads of the decoder go with both
    assert names(whole)[1:3] == ["4-1536-4bit-h6_4-1536-4bit", "4-1536-8bit-h4_4-1536-8bit"]


@pytest.mark.parametrize("space", SPACES, ids=IDS)
def test_members_are_some_of_the_product_with_the_same_ends(space):
    members, product = list(space.uniform_members()), replace(space, together=False)
    assert set(members) < set(product.uniform_members())
    assert (members[0], members[-1]) == (space.largest, space.smallest) == (product.largest, product.smallest)
    assert space.ends == product.ends
    assert space.all_uniform
    assert space.count() == len(members) == len(set(members))
    assert {member for member in product.uniform_members() if member in space} == set(members)


@pytest.mark.parametrize("space", SPACES, ids=IDS)
def test_each_member_is_drawn_as_often_as_any_other(space):
    generator = random.Random(0)
    drawn = Counter(space.sample(generator) for _ in range(400 * space.count()))
    assert set(drawn) == set(space.uniform_members())
    assert all(320 < times < 480 for times in drawn.values())  # four standard deviations of a binomial count


@pytest.mark.parametrize("space", SPACES, ids=IDS)
def test_every_name_parses_back(space):
    for member in space.uniform_members():
        assert SubnetConfig.parse(member.name) == member == space.parse(member.name)
    assert (space.parse("largest"), space.parse("smallest")) == (space.largest, space.smallest)


def test_a_pair_that_does_not_go_together_is_refused_with_the_nearest_names():
    message = (
        r"has a depth of 4_2 or 4_4, a width of 768_768 or 1536_1536 and 4_4 or 8_8 bits, the same in every layer "
        r"\(those of the encoder, and after an underscore those of the decoder that goes with it\); found "
        r"'4-1536-8bit_4-768-8bit'\. The nearest names are .*4-768-8bit_4-768-8bit"
    )
    with pytest.raises(ValueError, match=message):
        WHISPER.parse("4-1536-8bit_4-768-8bit")
    with pytest.raises(ValueError, match=r"1536_1536, 4_3 or 6_5 heads and 4_4"):
        HEADS.parse("4-1536-8bit_4-1536-8bit")
    with pytest.raises(ValueError, match=r"24, 4_all heads and 8_4"):
        UNEQUAL.parse("6-32-32bit-h4")


def test_impossible_pairs_are_refused():
    with pytest.raises(ValueError, match=r"require the search space of a decoder; found none\. Add space\.decoder, or"):
        SearchSpace((1,), (8,), together=True)
    for dimension, of_encoder, of_decoder in (
        ("depths", (1, 2), (1, 2, 3)),
        ("widths", (8, 16, 24), (8, 16)),
        ("bits", (4, 8), (4, 6, 8)),
        ("heads", (1, 2), (1, 2, 4)),
    ):
        space, above = (replace(SearchSpace((1,), (8,)), **{dimension: values}) for values in (of_encoder, of_decoder))
        found = rf"equally many {dimension}, .*; found \{list(of_encoder)} of the encoder and \{list(of_decoder)} of"
        with pytest.raises(ValueError, match=found + r" the decoder\. Make the lists equally long, or leave"):
            replace(space, decoder=above, together=True)


@pytest.mark.parametrize(
    ("encoder", "decoder", "found"),
    [
        (True, False, "space.layerwise=true"),
        (False, True, "space.decoder.layerwise=true"),
        (True, True, "space.layerwise=true and space.decoder.layerwise=true"),
    ],
)
def test_layers_that_choose_alone_cannot_choose_together(encoder, decoder, found):
    above = SearchSpace((1, 2), (8,), layerwise=decoder)
    with pytest.raises(ValueError, match=rf"require layers that agree; found {found}\. Make that false, or leave"):
        SearchSpace((1, 2), (8,), layerwise=encoder, decoder=above, together=True)


@pytest.mark.parametrize("space", SPACES, ids=IDS)
def test_a_warm_up_opens_dimensions_of_both_at_once(space):
    warm_up = WarmUp(5, ("bits", "heads", "width", "depth"))
    opened = [set(warm_up.space(step, space).uniform_members()) for step in range(6)]
    assert opened[0] == {space.largest}
    assert all(earlier <= later for earlier, later in pairwise(opened))
    assert all(warm_up.space(step, space).together for step in range(6))
    assert opened[5] == set(space.uniform_members())


def test_samplers_train_what_goes_together_only():
    members = tuple(WHISPER.uniform_members())
    assert GridSampler(WHISPER).members(0, 0) == members
    drawn = {member for step in range(100) for member in SandwichSampler(WHISPER, warm_up=WarmUp(20)).members(step, 0)}
    assert drawn == set(members)
    assert set(SandwichSampler(WHISPER, num_random=99).members(0, 0)) == set(members)
    assert FixedSampler(WHISPER, "4-768-4bit_2-768-4bit").members(0, 0) == (WHISPER.smallest,)
    with pytest.raises(ValueError, match="The nearest names are"):
        FixedSampler(WHISPER, "4-768-4bit_2-768-8bit")
