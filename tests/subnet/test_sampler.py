"""Samplers are pure functions of seed, step and rank."""

import pytest

from allinone.subnet import FixedSampler, GridSampler, SandwichSampler, SearchSpace, WarmUp

SPACE = SearchSpace((2, 3), (32, 64), (4, 8))


@pytest.mark.parametrize("num_random", [0, 1, 3])
def test_a_sandwich_is_the_largest_the_smallest_and_different_random_members(num_random):
    sampler = SandwichSampler(SPACE, num_random)
    for step in range(20):
        members = sampler.members(step, 0)
        assert members[:2] == (SPACE.largest, SPACE.smallest)
        assert len(set(members)) == len(members) == 2 + num_random
        assert all(member in SPACE for member in members)


def test_what_a_step_draws_does_not_depend_on_what_was_drawn_before():
    straight = [SandwichSampler(SPACE, seed=3).members(step, 0) for step in range(30)]
    sampler = SandwichSampler(SPACE, seed=3)
    assert [sampler.members(step, 0) for step in reversed(range(30))] == straight[::-1]
    assert [SandwichSampler(SPACE, seed=4).members(step, 0) for step in range(30)] != straight
    assert len({members[2] for members in straight}) == SPACE.count() - 2


def test_ranks_draw_the_same_or_their_own():
    same, own = SandwichSampler(SPACE), SandwichSampler(SPACE, same_on_all_ranks=False)
    assert all(same.members(step, 0) == same.members(step, 1) for step in range(30))
    assert any(own.members(step, 0) != own.members(step, 1) for step in range(30))


def test_a_small_space_gives_what_it_has():
    assert len(SandwichSampler(SearchSpace((1,), (8, 16), (8,)), 5).members(0, 0)) == 2
    assert len(SandwichSampler(SearchSpace((1,), (8,), (8,)), 5).members(0, 0)) == 1


def test_a_warm_up_limits_the_smallest_and_the_random_members_to_what_is_open():
    warm_up, plain = WarmUp(80), SandwichSampler(SPACE, 2)
    sampler = SandwichSampler(SPACE, 2, warm_up=warm_up)
    assert sampler.space == SPACE
    drawn = {step: sampler.members(step, 0) for step in reversed(range(100))}
    for step, members in drawn.items():
        opened = warm_up.space(step, SPACE)
        assert members[0] == SPACE.largest
        assert opened.smallest in members[:2]
        assert len(set(members)) == len(members) == min(4, opened.count())
        assert all(member in opened for member in members)
    assert {drawn[step] for step in range(20)} == {(SPACE.largest,)}
    assert all(drawn[step] == plain.members(step, 0) for step in range(60, 100))


def test_a_sandwich_is_drawn_from_the_product_of_encoders_and_decoders():
    space = SearchSpace((2, 3), (32,), (4, 8), decoder=SearchSpace((1, 2), (16,), (4, 8)))
    sampler = SandwichSampler(space)
    drawn = {sampler.members(step, 0)[2] for step in range(200)}
    assert drawn == set(space.uniform_members()) - {space.largest, space.smallest}


def test_a_grid_is_every_uniform_member_and_fixed_is_one():
    assert GridSampler(SPACE).members(5, 1) == tuple(SPACE.uniform_members())
    assert FixedSampler(SPACE).members(5, 1) == (SPACE.largest,)
    assert FixedSampler(SPACE, "2-64-4bit").members(0, 0) == (SPACE.parse("2-64-4bit"),)


@pytest.mark.parametrize(
    ("sampler", "names"),
    [
        (SandwichSampler(SPACE), ["3-64-8bit", "2-32-4bit"]),
        (SandwichSampler(SPACE, warm_up=WarmUp(100)), ["3-64-8bit", "2-32-4bit"]),
        (SandwichSampler(SearchSpace((3,), (64,), (8,))), ["3-64-8bit"]),
        (GridSampler(SPACE), ["3-64-8bit", "2-32-4bit"]),
        (FixedSampler(SPACE, "2-64-4bit"), ["2-64-4bit"]),
    ],
)
def test_the_largest_and_the_smallest_of_the_trained_members_are_watched(sampler, names):
    assert [member.name for member in sampler.watched] == names


def test_impossible_samplers_are_refused():
    with pytest.raises(ValueError, match="num_random must be 0 or more; found -1"):
        SandwichSampler(SPACE, -1)
    with pytest.raises(ValueError, match="The nearest names are"):
        FixedSampler(SPACE, "9-64-4bit")
