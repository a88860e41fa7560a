"""Tests of `allinone bench`."""

import json

TINY = ("experiment=tiny_synthetic", "device=cpu", "format=json")


def test_steps_are_given_as_ratios(call, here):
    said = call("bench", "step", *TINY, "rounds=1", "seconds=0.5")
    assert said.code == 0
    rows = json.loads(said.out)
    assert rows[0]["case"] == "plain step"
    assert {"weights", "front_end", "process_ratio", "wall_ratio", "peak_memory", "memory_ratio"} <= set(rows[0])
    assert rows[0]["wall_ratio"] == 1
    assert list(here.iterdir()) == []


def test_waiting_for_data_is_measured_on_the_corpus(call, here, corpus):
    said = call("bench", "data", *TINY, f"data.corpus.table={corpus}", "data.batch_seconds=10", "steps=2", "skip=0")
    assert said.code == 0
    row = json.loads(said.out)
    assert row["steps"] == 2
    assert 0 <= row["share"] < 1


def test_bench_alone_names_the_benchmarks(call):
    said = call("bench")
    assert said.code == 2
    assert "bench step, bench data" in said.err
    assert "found 'bench'" in said.err
