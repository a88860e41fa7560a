"""Tests of the measurement of waiting for data."""

import time

import pytest

from allinone.report.data_bench import loading_cost
from tests.laws.examples import make_batch


def slowly(count: int, seconds: float):
    for _ in range(count):
        time.sleep(seconds)
        yield make_batch()


def test_waiting_and_working_are_told_apart():
    cost = loading_cost(slowly(5, 0.02), lambda batch, number: time.sleep(0.06), steps=3, skip=2)
    assert cost.steps == 3
    assert cost.waiting >= 3 * 0.02
    assert cost.stepping >= 3 * 0.06
    assert 0 < cost.share < 1
    assert cost.audio == pytest.approx(3 * make_batch().seconds)


def test_steps_before_are_not_counted():
    numbers = []
    cost = loading_cost(slowly(3, 0), lambda batch, number: numbers.append(number), steps=1, skip=2)
    assert (numbers, cost.steps) == ([0, 1, 2], 1)


def test_a_measurement_without_steps_is_refused():
    with pytest.raises(ValueError, match=r"requires at least 1 step; found steps=0, skip=2. Ask"):
        loading_cost([], lambda batch, number: None, steps=0, skip=2)
