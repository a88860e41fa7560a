"""A space with sparsities: the largest member is dense, all others have zeros."""

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product

import pytest

from allinone.sparsity import Blocks, NOfM, Unstructured
from allinone.subnet import FixedSampler, GridSampler, LayerConfig, SandwichSampler, SearchSpace, SubnetConfig, WarmUp

DENSE = SearchSpace((2, 3), (32, 64), (4, 8))
SPARSE = replace(DENSE, sparsities=(0.5, 0.8), pattern=Blocks())
TOO = replace(DENSE, sparsities=(0, 0.5), pattern=Unstructured())  # other dense members, too
GROUPS = replace(DENSE, sparsities=(0.5, 0.75), pattern=NOfM(4), heads=(1, 2))
BOTH = replace(SPARSE, decoder=SearchSpace((1, 2), (16,), (8,), sparsities=(0.5, 0.6, 0.7), pattern=Blocks()))
ABOVE = replace(DENSE, decoder=SearchSpace((1, 2), (16,), (8,), sparsities=(0.5,), pattern=Blocks()))
TOGETHER = replace(BOTH, decoder=replace(SPARSE, sparsities=(0.6, 0.7)), together=True)
PAIRS = ((50, 60), (80, 70))
LAYERWISE = SearchSpace((2,), (32,), (8,), layerwise=True, sparsities=(0.5, 0.8), pattern=Blocks())
SPACES = {
    "sparse": SPARSE,
    "dense too": TOO,
    "groups": GROUPS,
    "decoder": BOTH,
    "decoder alone": ABOVE,
    "together": TOGETHER,
    "layerwise": LAYERWISE,
}


def names(space: SearchSpace) -> list[str]:
    return [member.name for member in space.uniform_members()]


def everything(space: SearchSpace) -> Iterator[SubnetConfig]:
    """All members of a space without a decoder by brute force, the dense largest first."""
    group = None if space.pattern is None else space.pattern.group
    layers = [
        LayerConfig(width, bits, heads, zeros, group if zeros else None)
        for width in space.widths
        for heads in space.heads or (None,)
        for bits in space.bits
        for zeros in space.sparsities
    ]
    yield space.largest
    for depth in space.depths:
        choices = product(layers, repeat=depth) if space.layerwise else ((layer,) * depth for layer in layers)
        yield from (SubnetConfig(chosen) for chosen in choices)


def test_the_largest_is_dense_and_all_others_have_zeros_from_the_largest_to_the_smallest():
    others = [f"{d}-{w}-{b}bit-s{s}" for d in (3, 2) for w in (64, 32) for b in (8, 4) for s in (50, 80)]
    assert names(SPARSE) == ["3-64-8bit", *others]
    assert (SPARSE.largest, SPARSE.smallest.name) == (DENSE.largest, "2-32-4bit-s80")
    assert SubnetConfig.parse("2-64-8bit") not in SPARSE


def test_others_are_dense_only_if_that_is_one_of_the_sparsities():
    assert names(TOO) == [f"{d}-{w}-{b}bit{s}" for d in (3, 2) for w in (64, 32) for b in (8, 4) for s in ("", "-s50")]


def test_members_of_n_of_m_say_what_they_keep():
    assert names(GROUPS)[:5] == ["3-64-8bit-h2", *(f"3-64-{b}bit-h2-{n}of4" for b in (8, 4) for n in (2, 1))]
    assert SubnetConfig.parse("2-32-4bit-h1-s50") not in GROUPS


@pytest.mark.parametrize("space", [SPARSE, TOO, GROUPS, LAYERWISE], ids=["sparse", "dense too", "groups", "layerwise"])
def test_members_are_the_dense_largest_and_the_product(space):
    members = set(everything(space))
    assert space.count() == len(members)
    assert all(member in space for member in members)
    assert {member for member in members if member.is_uniform} == set(space.uniform_members())


def test_only_listed_sparsities_are_in_the_space():
    for name in ("2-64-8bit-s55", "2-64-8bit-2of4", "1-64-8bit-s50+1-64-8bit-s80", "2-64-8bit"):
        assert SubnetConfig.parse(name) not in SPARSE
    assert SubnetConfig.parse("1-32-8bit-s50+1-32-8bit-s80") in LAYERWISE
    assert SubnetConfig.parse("1-32-8bit-s50+1-32-8bit") not in LAYERWISE


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_random_members_are_all_but_a_largest_that_is_denser_than_the_others(space):
    generator = random.Random(0)
    drawn = {space.sample(generator) for _ in range(3000)}
    assert all(member in space for member in drawn)
    assert len(drawn | {space.largest}) == space.count()
    assert (space.largest in drawn) == (space == TOO)


def test_a_decoder_has_sparsities_of_its_own_and_the_largest_of_both_is_dense():
    assert BOTH.count() == 1 + 16 * 6
    assert names(BOTH)[:3] == ["3-64-8bit_2-16-8bit", "3-64-8bit-s50_2-16-8bit-s50", "3-64-8bit-s50_2-16-8bit-s60"]
    assert BOTH.smallest.name == "2-32-4bit-s80_1-16-8bit-s70"
    for name in ("3-64-8bit_2-16-8bit-s50", "3-64-8bit-s50_2-16-8bit"):
        assert SubnetConfig.parse(name) not in BOTH
    assert names(ABOVE)[:2] == ["3-64-8bit_2-16-8bit", "3-64-8bit_2-16-8bit-s50"]
    assert names(replace(SPARSE, decoder=DENSE))[1] == "3-64-8bit-s50_3-64-8bit"


def test_sparsities_choose_together():
    others = [
        f"{d}-{w}-{b}bit-s{s}_{d}-{w}-{b}bit-s{a}" for d in (3, 2) for w in (64, 32) for b in (8, 4) for s, a in PAIRS
    ]
    assert names(TOGETHER) == ["3-64-8bit_3-64-8bit", *others]
    assert TOGETHER.count() == 17
    alone = replace(TOGETHER, decoder=DENSE)  # no zeros there go with all of the encoder
    assert names(alone)[1:3] == ["3-64-8bit-s50_3-64-8bit", "3-64-8bit-s80_3-64-8bit"]
    groups = replace(DENSE, decoder=replace(DENSE, sparsities=(0.5,), pattern=NOfM(4)), together=True)
    assert names(groups)[1] == "3-64-8bit_3-64-8bit-2of4"


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_every_name_parses_back(space):
    for member in space.uniform_members():
        assert SubnetConfig.parse(member.name) == member == space.parse(member.name)
    assert (space.parse("largest"), space.parse("smallest")) == (space.largest, space.smallest)


def test_values_are_sorted_and_equal_ones_are_one():
    again = replace(SPARSE, sparsities=[0.8, 0.5, 0.5 + 1e-12])  # pyright: ignore[reportArgumentType]
    assert again == SPARSE
    assert hash(again) == hash(SPARSE)


def test_a_name_outside_the_space_is_refused_with_the_nearest_names():
    message = (
        r"a width of 32 or 64, 4 or 8 bits and a sparsity of s50 or s80, the same in every layer, or is the largest, "
        r"3-64-8bit; found '3-64-4bit'\. The nearest names are .*3-64-4bit-s"
    )
    with pytest.raises(ValueError, match=message):
        SPARSE.parse("3-64-4bit")
    with pytest.raises(ValueError, match=r"bits and a sparsity of 0 or s50, the same in every layer; found"):
        TOO.parse("3-64-4bit-s80")
    with pytest.raises(ValueError, match=r"1 or 2 heads, 4 or 8 bits and a sparsity of 2of4 or 1of4, the same"):
        GROUPS.parse("3-64-4bit-h1-3of4")
    with pytest.raises(
        ValueError, match=r"4_4 or 8_8 bits and a sparsity of s50_s60 or s80_s70, .*, or is the largest"
    ):
        TOGETHER.parse("3-64-4bit-s50_3-64-4bit-s70")
    with pytest.raises(
        ValueError, match=r"8 bits and a sparsity of s50 or s60 or s70, .* largest, 3-64-8bit_2-16-8bit;"
    ):
        BOTH.parse("3-64-8bit-s50_2-16-8bit")


def test_impossible_sparse_spaces_are_refused():
    with pytest.raises(ValueError, match=r"sparsities requires a pattern of zeros; found .*\[0\.5\] and none\. Add"):
        replace(DENSE, sparsities=(0.5,))
    with pytest.raises(
        ValueError, match=r"A pattern of zeros requires sparsities; found NOfM\(size=4\) and none\. Add"
    ):
        replace(DENSE, pattern=NOfM(4))
    with pytest.raises(ValueError, match=r"one pattern of zeros; found Blocks\(.*\) and NOfM\(size=4\)\. Give space\."):
        replace(SPARSE, decoder=replace(GROUPS, heads=()))
    with pytest.raises(ValueError, match=r"every 4 weights, .*; found 0\.8\. Give one of 0\.25, 0\.5, 0\.75"):
        replace(GROUPS, sparsities=(0.5, 0.8))
    with pytest.raises(ValueError, match=r"multiple of 0\.005, .*; found 1"):
        replace(SPARSE, sparsities=(1,))
    with pytest.raises(
        ValueError, match=r"equally many sparsities, .*; found \[0\.5, 0\.8\] of the encoder and \[0\.5"
    ):
        replace(BOTH, together=True, depths=(2,), widths=(32,), bits=(8,))


def test_a_warm_up_may_leave_out_sparsity_at_first():
    order = ("bits", "sparsity", "depth")
    opened = [set(WarmUp(4, order).space(step, SPARSE).uniform_members()) for step in range(4)]
    assert {member.name for member in opened[1]} == {f"3-{w}-{b}bit" for w in (32, 64) for b in (4, 8)}
    assert {layer.sparsity for member in opened[2] for layer in member.layers} == {0.0, 0.5, 0.8}
    assert opened[3] == set(SPARSE.uniform_members())
    for space in SPACES.values():
        parts = [WarmUp(2, ("sparsity",)).space(step, space) for step in range(3)]
        assert {part.largest for part in parts} == {space.largest}
        dense = {
            layer.threshold for member in parts[0].uniform_members() for layer in (*member.layers, *member.decoder)
        }
        assert (dense, parts[1:]) == ({0}, [space, space])
    assert WarmUp(2, ("sparsity",)).space(0, DENSE) == DENSE


def test_a_warm_up_of_all_dimensions_begins_with_the_largest_alone():
    warm_up = WarmUp(5, ("bits", "width", "depth", "sparsity"))
    opened = [set(warm_up.space(step, TOO).uniform_members()) for step in range(6)]
    assert opened[0] == {TOO.largest}
    assert all(earlier <= later for earlier, later in pairwise(opened))


def test_samplers_train_the_dense_largest_and_sparse_others():
    for step in range(50):
        largest, smallest, other = SandwichSampler(SPARSE).members(step, 0)
        assert (largest, smallest) == SPARSE.ends
        assert other in SPARSE
        assert other not in (largest, smallest)
        assert all(layer.sparsity for layer in other.layers)
    assert GridSampler(SPARSE).members(0, 0) == tuple(SPARSE.uniform_members())
    assert FixedSampler(SPARSE, "2-64-4bit-s50").members(0, 0) == (SubnetConfig.parse("2-64-4bit-s50"),)
    assert set(SandwichSampler(SPARSE, num_random=99).members(0, 0)) == set(SPARSE.uniform_members())
