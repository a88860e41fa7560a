"""Tests of the measurement of decoding: that it times what it says, not how fast."""

import time

import pytest

from allinone.decoding import Greedy, Heard, Hypothesis
from allinone.report.decode_bench import DecodeBench, DecodeCost
from allinone.report.interleaved import Timing
from tests.laws.examples import make_batch, make_task


def test_every_part_is_timed_in_every_round_on_all_batches():
    task, heard = make_task(), []

    def slowly(one: Heard) -> list[list[Hypothesis]]:
        heard.append(one)
        time.sleep(0.01)
        return [[Hypothesis("")]] * len(one.lengths)

    batches = [make_batch(), make_batch(seed=1)]
    decoders = {"greedy": Greedy().build(task.tokenizer), "slow": slowly}
    parts = []
    bench = DecodeBench(task=task, member=task.space.smallest, batches=batches, decoders=decoders)
    costs = bench.measure(2, parts.append)
    assert parts == ["encoder", "greedy", "slow"] * 3  # the first is not counted
    assert [cost.part for cost in costs] == ["encoder", "greedy", "slow"]
    assert len(heard) == 3 * 2
    assert all(len(cost.timings) == 2 for cost in costs)
    assert [cost.audio for cost in costs] == pytest.approx([2 * (0.9 + 0.65 + 0.5)] * 3)
    assert costs[2].to_dict()["wall_seconds"] >= 2 * 0.01


def test_speeds_are_seconds_of_audio_a_second():
    encoder = (Timing(1.0, 2.0), Timing(1.0, 2.0))
    cost = DecodeCost("joint", 12.0, (Timing(3.0, 4.0), Timing(5.0, 6.0)), encoder).to_dict()
    assert (cost["wall_seconds"], cost["wall_speed"], cost["wall_whole"]) == (4.0, 3.0, 2.4)
    assert (cost["process_seconds"], cost["process_speed"], cost["process_whole"]) == (5.0, 2.4, 12 / 7)
    alone = DecodeCost("encoder", 12.0, encoder, encoder).to_dict()
    assert alone["wall_whole"] == alone["wall_speed"] == 12.0
