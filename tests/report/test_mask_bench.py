"""Tests of the measurement of zeros: that it runs what it says, not how fast."""

from dataclasses import replace

import pytest

from allinone.report.mask_bench import MaskBench
from allinone.sparsity import Adam, Blocks, Criterion, Magnitude, Taylor
from tests.report.test_step_bench import make_bench

STEPS = replace(make_bench(), space=replace(make_bench().space, sparsities=(0.5, 0.8), pattern=Blocks()))


@pytest.mark.parametrize("criterion", [Magnitude(), Adam(), Taylor(1)], ids=str)
def test_everything_is_timed_beside_what_it_is_a_share_of(criterion: Criterion):
    costs = MaskBench(steps=STEPS, criterion=criterion, every=4, batches=(4,)).measure(rounds=1)
    rows = [cost.to_dict() for cost in costs.rows]
    name = type(criterion).__name__
    assert [(row["part"], row["unit"]) for row in rows] == [
        (f"survival levels by {name}", "plain step"),
        (f"survival levels by {name}, every 4 updates", "training"),
        ("in-batch sandwich of 4, no distillation", "plain step"),
        ("in-batch sandwich of 4", "plain step"),
        ("3-64-8bit-s80, 4 x 0.5 s", "3-64-8bit, 4 x 0.5 s"),
    ]
    once, often, _, step, _ = rows
    assert often["wall_ratio"] == pytest.approx(once["wall_ratio"] / step["wall_ratio"] / 4)
    assert costs.level_bytes == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": make_bench()}, r"requires a space with sparsities; found none\. Give space.sparsities, such as"),
        ({"every": 0}, r"found every=0 and batches=\[4, 8, 16\]\. Give such numbers"),
        ({"batches": ()}, r"found every=256 and batches=\[\]\. Give such numbers"),
    ],
)
def test_what_cannot_be_measured_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        MaskBench(**{"steps": STEPS, "criterion": Magnitude()} | changes)
