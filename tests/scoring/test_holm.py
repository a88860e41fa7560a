"""Holm's correction: an example by hand, and the procedure as he describes it."""

import random

import pytest

from allinone.scoring.holm import holm


def test_an_example_by_hand():
    # in order: 4 x 0.005 = 0.02, 3 x 0.01 = 0.03, 2 x 0.03 = 0.06, and 1 x 0.04, which must not be less than 0.06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize(("p_values", "corrected"), [([], []), ([0.04], [0.04]), ([0.7, 0.6], [1.0, 1.0])])
def test_one_comparison_needs_no_correction_and_one_is_the_largest_value(p_values, corrected):
    assert holm(p_values) == corrected


def test_what_is_below_alpha_is_what_the_sequential_procedure_rejects():
    chance = random.Random(0)
    for _ in range(200):
        p_values = [chance.choice((0.001, 0.01, 0.02, 0.1)) * chance.random() for _ in range(chance.randint(1, 9))]
        rejected = set()
        for done, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
            if p_values[index] >= 0.05 / (len(p_values) - done):
                break
            rejected.add(index)
        assert {index for index, value in enumerate(holm(p_values)) if value < 0.05} == rejected
