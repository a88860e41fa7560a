"""Tests of timing in turns."""

import pytest

from allinone.report.interleaved import Timing, interleaved, median_ratio


def test_actions_take_turns_and_the_first_round_is_not_counted():
    calls: list[str] = []
    timings = interleaved(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2, prepare=lambda: calls.append(".")
    )
    assert "".join(calls) == ".a.b" * 3
    assert {name: len(measured) for name, measured in timings.items()} == {"a": 2, "b": 2}


def test_a_ratio_compares_within_rounds():
    slow_machine, fast_machine = Timing(10.0, 4.0), Timing(1.0, 1.0)
    twice = [Timing(20.0, 4.0), Timing(2.0, 3.0), Timing(2.0, 1.0)]
    assert median_ratio(twice, [slow_machine, fast_machine, fast_machine], "wall") == 2.0
    assert median_ratio(twice, [slow_machine, fast_machine, fast_machine], "process") == 1.0


def test_a_measurement_without_rounds_is_refused():
    with pytest.raises(ValueError, match="requires at least 1 round, found 0; ask"):
        interleaved({}, 0)
