"""Sparsity grows by a cubic law from none to all, and members have as much of theirs as a step allows."""

from dataclasses import replace
from itertools import pairwise

import pytest

from allinone.sparsity import Blocks, NOfM
from allinone.subnet import CubicGrowth, FixedSampler, GridSampler, SandwichSampler, SearchSpace, SubnetConfig

SPACE = SearchSpace((12,), (512,), (8,), layerwise=True, sparsities=(0.5, 0.6, 0.7, 0.8), pattern=Blocks())
UNIFORM = replace(SPACE, layerwise=False)
GROWTH = CubicGrowth(interval=10, updates=4)
END = 40


def test_the_allowed_sparsity_follows_zhu_and_gupta():
    """s_f + (s_i - s_f) (1 - t / n)^3 from s_i = 0 to s_f = 0.8: 0, 0.4625, 0.7, 0.7875, 0.8, in steps of 0.005."""
    assert [GROWTH.allowed(10 * update, 160) / 200 for update in range(6)] == [0, 0.46, 0.7, 0.785, 0.8, 0.8]
    assert GROWTH.allowed(19, 160) == GROWTH.allowed(10, 160)


@pytest.mark.parametrize("final", [1, 2, 3, 100, 160, 199])
def test_it_never_shrinks_and_ends_exactly_where_it_should(final):
    allowed = [CubicGrowth().allowed(step, final) for step in range(0, 256 * 258, 128)]
    assert all(earlier <= later for earlier, later in pairwise(allowed))
    assert (allowed[0], allowed[-1], CubicGrowth().allowed(256 * 256, final)) == (0, final, final)
    assert CubicGrowth().allowed(256 * 256 - 1, final) <= final


def test_members_have_their_sparsity_or_what_is_allowed():
    member = SubnetConfig.parse("6-512-8bit-s50+6-512-8bit-s80")
    drawn = [GROWTH.cap([member], step, SPACE)[0].name for step in range(0, END + 1, 10)]
    assert drawn == [
        "12-512-8bit",
        "12-512-8bit-s46",
        "6-512-8bit-s50+6-512-8bit-s70",
        "6-512-8bit-s50+6-512-8bit-s78.5",
        member.name,
    ]


def test_members_that_the_cap_makes_equal_are_one():
    grid = GridSampler(UNIFORM, growth=GROWTH)
    assert [len(grid.members(step, 0)) for step in range(0, END + 1, 10)] == [1, 2, 4, 5, 5]
    assert grid.members(0, 0) == (UNIFORM.largest,)


def test_members_of_n_of_m_are_dense_until_their_own_sparsity_is_allowed():
    space = replace(UNIFORM, sparsities=(0.25, 0.5, 0.75), pattern=NOfM(4))
    three, two, one = list(space.uniform_members())[1:]
    growth = CubicGrowth(interval=1, updates=4)  # of 3 dropped: 0, 1.73, 2.6, 2.95, 3
    drawn = [growth.cap([space.largest, three, two, one], step, space) for step in range(5)]
    assert drawn == [
        (space.largest,),
        (space.largest, three),
        (space.largest, three, two),
        (space.largest, three, two),
        (space.largest, three, two, one),
    ]


def test_a_decoder_grows_to_sparsities_of_its_own():
    space = replace(UNIFORM, decoder=SearchSpace((2,), (64,), (8,), sparsities=(0.4,), pattern=Blocks()))
    assert GROWTH.cap([space.smallest], 20, space)[0].name == "12-512-8bit-s70_2-64-8bit-s35"


@pytest.mark.parametrize("kind", [SandwichSampler, GridSampler, FixedSampler])
def test_a_sampler_draws_what_it_would_draw_and_caps_it(kind):
    plain, grown = (kind(SPACE, growth=growth) for growth in (None, GROWTH))
    for step in reversed(range(END + 10)):
        members = grown.members(step, 0)
        assert members == GROWTH.cap(plain.members(step, 0), step, SPACE)
        assert members[0] == SPACE.largest
        assert step < END or members == plain.members(step, 0)
    assert grown.watched == plain.watched


def test_impossible_growths_are_refused():
    for updates, interval in ((256, 0), (-1, 256), (2.5, 256)):
        with pytest.raises(
            ValueError, match=rf"steps, 1 or more; found updates={updates} and interval={interval}\. Give"
        ):
            CubicGrowth(interval, updates)  # pyright: ignore[reportArgumentType]
