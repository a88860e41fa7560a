"""Tests of which members a table lists."""

from dataclasses import replace

import pytest

from allinone.cli.members import members_to_list, size
from allinone.subnet import Cost, SearchSpace

WHOLE = SearchSpace((2, 3), (32, 64), (4, 8))
LAYERWISE = SearchSpace((2, 3), (32, 64), (4, 8), layerwise=True)
TOGETHER = SearchSpace((3,), (32, 64), (8,), decoder=SearchSpace((1, 2), (16,), (4,)), together=True)
DECODER = SearchSpace((3,), (64,), (4, 8), decoder=SearchSpace((1, 2), (16,), (4, 8), layerwise=True))


def test_a_networkwise_space_is_listed_whole():
    assert members_to_list(WHOLE, 0, 0) == list(WHOLE.uniform_members())
    both = replace(WHOLE, decoder=WHOLE)
    assert members_to_list(both, 0, 0) == list(both.uniform_members())
    assert members_to_list(TOGETHER, 0, 0) == list(TOGETHER.uniform_members())


@pytest.mark.parametrize(("space", "sample"), [(LAYERWISE, 10), (DECODER, 5)], ids=["encoder", "decoder"])
def test_a_layerwise_space_is_listed_by_its_ends_and_a_sample_without_repetition(space, sample):
    members = members_to_list(space, sample, seed=1)
    assert (members[0], members[-1]) == (space.largest, space.smallest)
    assert len(set(members)) == len(members) == 2 + sample
    assert members == members_to_list(space, sample, seed=1)
    assert members != members_to_list(space, sample, seed=2)


def test_a_sample_larger_than_the_space_lists_every_member_once():
    assert len(set(members_to_list(LAYERWISE, 1000, seed=0))) == LAYERWISE.count() == 80


@pytest.mark.parametrize(("space", "sample"), [(WHOLE, 1), (LAYERWISE, -1)])
def test_an_impossible_sample_is_refused(space, sample):
    with pytest.raises(ValueError, match=f"sample requires a layer-wise space.*found sample={sample}"):
        members_to_list(space, sample, 0)


def test_a_sample_of_what_chooses_together_is_refused_without_the_advice_to_draw_layers_apart():
    with pytest.raises(ValueError, match=r"whose 4 members are all listed\. Leave sample out\.$"):
        members_to_list(TOGETHER, 1, 0)


def test_counts_are_integers_and_the_ratio_is_to_the_largest_at_full_precision():
    row = size(2001.0, 48, Cost(parameters=10.0, bytes=1000.5, bytes_stored=12, macs=3.4))
    assert row == {
        "parameters": 10,
        "bytes": 1000,
        "ratio": 2.0,
        "bytes_stored": 12,
        "system_ratio": 4.0,
        "macs": 3,
    }
