"""Sparsities are shares of zeros that a survival level, or a group of N:M, can be cut at."""

import pytest

from allinone import sparsity
from allinone.subnet import LayerConfig, SubnetConfig
from allinone.subnet.zeros import LEVELS


def test_a_threshold_is_a_survival_level():
    assert LEVELS == sparsity.LEVELS
    assert [LayerConfig(8, sparsity=level / 200).threshold for level in range(200)] == list(range(200))
    assert [LayerConfig(8, sparsity=dropped / 3, group=3).threshold for dropped in (1, 2)] == [1, 2]


def test_a_sparsity_is_one_value_however_it_was_computed():
    one, other = LayerConfig(8, sparsity=0.7), LayerConfig(8, sparsity=1 - 0.3)
    assert (one, hash(one), repr(one)) == (other, hash(other), repr(other))
    assert 1 - 1 / 3 != 2 / 3
    assert LayerConfig(8, sparsity=1 - 1 / 3, group=3) == LayerConfig(8, sparsity=2 / 3, group=3)
    assert LayerConfig(8, sparsity=0) == LayerConfig(8)


def test_two_of_four_is_another_sparsity_than_half():
    assert LayerConfig(8, sparsity=0.5, group=4) != LayerConfig(8, sparsity=0.5)
    assert (LayerConfig(8, sparsity=0.5, group=4).threshold, LayerConfig(8, sparsity=0.5).threshold) == (2, 100)


@pytest.mark.parametrize("found", [-0.005, 1.0, 0.501, 0.0049, float("nan"), float("inf")])
def test_other_shares_of_zeros_are_refused(found):
    with pytest.raises(ValueError, match=rf"must be a multiple of 0\.005, from 0 to below 1; found {found}\. Give"):
        LayerConfig(8, sparsity=found)


@pytest.mark.parametrize("found", [1, 17, 4.0, True])
def test_other_groups_are_refused(found):
    with pytest.raises(ValueError, match=rf"groups of a whole number of 2 to 16 weights \(M\); found {found}\. Give"):
        LayerConfig(8, sparsity=0.5, group=found)


@pytest.mark.parametrize("found", [0.0, 1.0, 0.3, -0.25, float("nan")])
def test_zeros_that_no_group_has_are_refused(found):
    message = (
        rf"whole number of every 4 weights, .*; found {found}\. Give one of 0\.25, 0\.5, 0\.75, or leave the group"
    )
    with pytest.raises(ValueError, match=message):
        LayerConfig(8, sparsity=found, group=4)


@pytest.mark.parametrize("name", ["2-64-8bit-4of4", "2-64-8bit-0of4", "2-64-8bit-5of4"])
def test_a_name_with_groups_that_keep_all_or_nothing_is_refused(name):
    with pytest.raises(ValueError, match=r"must drop a whole number of every 4 weights, one or more, and keep some"):
        SubnetConfig.parse(name)


@pytest.mark.parametrize(
    ("name", "message"), [("s100", "below 1; found 1"), ("s50.3", "0.005"), ("1of0", "16 weights")]
)
def test_a_name_with_impossible_zeros_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        SubnetConfig.parse(f"2-64-8bit-{name}")
