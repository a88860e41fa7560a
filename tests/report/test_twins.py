"""Tests of the comparison with twins: signs, corrections and costs, and what may not be compared."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from allinone.report.twins import TrainingRun, costs, judge_twins, require_alike
from allinone.scoring.holm import holm

SAID = {f"u{number:02}": ["one", "two", "three", "four"] for number in range(60)}


def heard(wrong: int) -> dict[str, list[str]]:
    """What is heard with an error in so many utterances."""
    return {name: ["x", *words[1:]] if place < wrong else words for place, (name, words) in enumerate(SAID.items())}


def test_members_are_judged_against_their_twins_and_the_baseline():
    good, bad = judge_twins(
        SAID, {"good": heard(2), "bad": heard(50)}, {"good": heard(40), "bad": heard(48)}, heard(2), samples=300
    )
    assert good["twin"]["difference"] == pytest.approx(good["wer"] - good["twin_wer"]) == pytest.approx(-100 * 38 / 240)
    assert [good["twin"]["verdict"], bad["twin"]["verdict"]] == ["better", "same"]
    assert [good["baseline"]["verdict"], bad["baseline"]["verdict"]] == ["same", "worse"]
    assert good["twin"]["not_worse"]
    assert not bad["baseline"]["not_worse"]
    for kind in ("twin", "baseline"):
        assert [row[kind]["p_holm"] for row in (good, bad)] == holm([row[kind]["p"] for row in (good, bad)])


def test_a_small_difference_within_a_wide_interval_is_not_called_not_worse():
    """Sixty utterances cannot show that there is no difference of a point."""
    (row,) = judge_twins(
        SAID, {"m": heard(20)}, {"m": dict(reversed(heard(20).items())) | heard(19)}, None, samples=300
    )
    assert "baseline" not in row
    assert row["twin"]["verdict"] == "same"
    assert row["twin"]["not_worse"] == (row["twin"]["interval"][1] < 1)


def make_run(folder: Path, seconds: float = 100.0, **changes: Any) -> TrainingRun:
    folder.mkdir()
    config = {
        "trainer": {"accumulate": 1, "devices": 1},
        "data": {"batch_seconds": 60, "speed_factors": []},
        "seed": 0,
        "init": None,
    }
    results = {"steps": changes.pop("steps", 10), "data_hash": changes.pop("data_hash", "abc")}
    (folder / "config.yaml").write_text(yaml.safe_dump(config | changes))
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "cost.json").write_text(json.dumps({"seconds": seconds, "single_run_seconds": 90.0, "single_runs": 1.1}))
    return TrainingRun.read(folder)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"steps": 20}, "updates 10 there, 20 here"),
        ({"data_hash": "xyz"}, "data abc there, xyz here"),
        ({"init": "dense.ckpt", "seed": 1}, "seed 0 there, 1 here; start None there, dense.ckpt here"),
        ({"ctc": False}, "CTC output True there, False here"),
        ({"attention": {"num_layers": 2}}, "attention decoder None there, {'num_layers': 2} here"),
    ],
)
def test_runs_with_other_data_or_updates_are_refused_with_both_values(tmp_path, changes, found):
    one, other = make_run(tmp_path / "one"), make_run(tmp_path / "other", **changes)
    require_alike([one, make_run(tmp_path / "same")])
    with pytest.raises(ValueError, match="Runs are compared that had the same data and updates") as error:
        require_alike([one, other])
    assert found in str(error.value)
    assert str(other.folder) in str(error.value)


def test_costs_are_in_single_runs_as_the_baseline_measured_them(tmp_path):
    one, twin = make_run(tmp_path / "one", 120.0), make_run(tmp_path / "twin", 60.0)
    measured = costs(one, [twin, twin], make_run(tmp_path / "baseline", 80.0))
    assert measured["one_pass_single_runs"] == 1.5
    assert measured["twins_single_runs"] == 1.5
    assert costs(one, [twin], None)["one_pass_single_runs"] == pytest.approx(120 / 90)


@pytest.mark.parametrize("lost", ["config.yaml", "results.json", "cost.json"])
def test_an_unfinished_run_is_refused(tmp_path, lost):
    make_run(tmp_path / "one")
    (tmp_path / "one" / lost).unlink()
    with pytest.raises(ValueError, match="A comparison requires finished runs of `allinone train`") as error:
        TrainingRun.read(tmp_path / "one")
    assert lost in str(error.value)
