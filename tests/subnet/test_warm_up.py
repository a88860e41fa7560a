"""A warm-up opens the space one dimension after another."""

from itertools import pairwise

import pytest

from allinone.subnet import SearchSpace, WarmUp

SPACE = SearchSpace((8, 12), (1024, 2048), (2, 4, 8))
OPEN = {  # from which of eight steps on
    0: SearchSpace((12,), (2048,), (8,)),
    2: SearchSpace((12,), (2048,), (2, 4, 8)),
    4: SearchSpace((12,), (1024, 2048), (2, 4, 8)),
    6: SPACE,
}


@pytest.mark.parametrize("step", range(10))
def test_dimensions_open_one_after_another_in_equal_stages(step):
    assert WarmUp(8).space(step, SPACE) == OPEN[min(step // 2 * 2, 6)]


def test_a_later_space_contains_an_earlier_one_and_has_the_same_largest_member():
    members = [set(WarmUp(7).space(step, SPACE).uniform_members()) for step in range(9)]
    assert all(earlier <= later for earlier, later in pairwise(members))
    assert members[0] == {SPACE.largest}
    assert members[-1] == set(SPACE.uniform_members())


def test_the_order_is_a_choice_and_what_it_leaves_out_is_open_from_the_beginning():
    assert WarmUp(4, ("depth", "width", "bits")).space(1, SPACE) == SearchSpace((8, 12), (2048,), (8,))
    shrinking = WarmUp(2, ["depth"])  # pyright: ignore[reportArgumentType]
    assert shrinking.order == ("depth",)
    assert [shrinking.space(step, SPACE).depths for step in range(3)] == [(12,), (8, 12), (8, 12)]
    assert shrinking.space(0, SPACE).bits == SPACE.bits


def test_heads_are_a_dimension_too():
    space = SearchSpace((2, 3), (64,), (4, 8), heads=(2, 4))
    opened = [WarmUp(4, ("bits", "heads", "depth")).space(step, space) for step in range(4)]
    assert [(part.bits, part.heads, part.depths) for part in opened] == [
        ((8,), (4,), (3,)),
        ((4, 8), (4,), (3,)),
        ((4, 8), (2, 4), (3,)),
        ((4, 8), (2, 4), (2, 3)),
    ]
    assert WarmUp(4).space(0, space).heads == (2, 4)
    assert WarmUp(4, ("heads",)).space(0, SPACE) == SPACE


def test_a_short_warm_up_opens_several_dimensions_at_once():
    assert [WarmUp(1).space(step, SPACE) for step in range(2)] == [OPEN[0], SPACE]
    assert [WarmUp(2).space(step, SPACE) for step in range(3)] == [OPEN[0], OPEN[4], SPACE]


def test_dimensions_of_the_decoder_open_along_with_the_encoders():
    space = SearchSpace((2, 3), (32, 64), (4, 8), layerwise=True, decoder=SearchSpace((1, 2), (16, 24), (4, 32)))
    opened = [WarmUp(4).space(step, space) for step in range(4)]
    assert [part.decoder for part in opened] == [
        SearchSpace((2,), (24,), (32,)),
        SearchSpace((2,), (24,), (4, 32)),
        SearchSpace((2,), (16, 24), (4, 32)),
        space.decoder,
    ]
    assert opened[0].layerwise
    assert opened[3] == space


def test_impossible_warm_ups_are_refused():
    with pytest.raises(ValueError, match=r"must take at least 1 step; found 0\. Give a number of steps, or leave"):
        WarmUp(0)
    for order, found in (((), "none"), (("bits", "bits"), "bits, bits"), (("depth", "size"), "depth, size")):
        with pytest.raises(
            ValueError,
            match=rf"some of bits, scale_groups, heads, width, depth, sparsity, each once; found {found}\. Correct it",
        ):
            WarmUp(10, order)
