"""The search space contains, counts, orders and draws its members."""

import random

import pytest

from allinone.subnet import LayerConfig, SearchSpace, SubnetConfig

SPACE = SearchSpace((8, 12), (1024, 2048), (4, 8))


def test_members_are_ordered_from_the_largest_to_the_smallest():
    names = [member.name for member in SPACE.uniform_members()]
    assert names == [f"{d}-{w}-{b}bit" for d in (12, 8) for w in (2048, 1024) for b in (8, 4)]
    assert (SPACE.largest.name, SPACE.smallest.name) == (names[0], names[-1])
    assert SPACE.count() == len(names)


def test_a_layerwise_space_counts_every_choice():
    space = SearchSpace((1, 2), (8, 16), (4, 8), layerwise=True)
    assert space.count() == 4 + 16
    drawn = {space.sample(generator) for generator in [random.Random(0)] for _ in range(2000)}
    assert len(drawn) == 20
    assert all(member in space for member in drawn)


def test_values_are_sorted_and_lists_become_tuples():
    assert SearchSpace([12, 8, 8], [2048, 1024], [8, 4]) == SPACE  # pyright: ignore[reportArgumentType]


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


def test_impossible_spaces_are_refused():
    with pytest.raises(ValueError, match=r"at least one value for its widths; found none\. Add one"):
        SearchSpace((1,), (), (8,))
    with pytest.raises(ValueError, match="Depths must be at least 1 layer; found 0"):
        SearchSpace((0, 1), (8,), (8,))
    with pytest.raises(ValueError, match="Bits must be one of"):
        SearchSpace((1,), (8,), (9,))
