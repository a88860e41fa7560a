"""Tests of `allinone export`."""

import json
from pathlib import Path

from allinone.export import Manifest


def test_the_directory_tells_what_was_measured_and_on_what_it_was_trained(call, here, trained):
    call("evaluate", f"checkpoint={trained.checkpoint}", "subnets=[2-32-4bit]", "format=json")
    (results,) = Path("runs/evaluate").glob("*/results.json")
    said = call(
        "export",
        f"checkpoint={trained.checkpoint}",
        "subnet=2-32-4bit",
        "output=small",
        f"results={results}",
        "about_data='Tones, made by a program.'",
    )
    assert (said.code, said.out) == (0, "")
    assert "2-32-4bit is in small" in said.err
    manifest = Manifest.read(here / "small")
    (row,) = json.loads(results.read_text())["members"]
    assert manifest.member == "2-32-4bit"
    assert manifest.results == {"test": {"wer": row["wer"], "cer": row["cer"]}}
    assert manifest.bytes_stored == row["bytes_stored"]
    assert manifest.training_data["hash"] == json.loads((trained.folder / "results.json").read_text())["data_hash"]
    assert "Tones, made by a program." in (here / "small" / "README.md").read_text()


def test_results_must_be_those_of_the_member(call, here, trained):
    (here / "results.json").write_text('{"split": "test", "members": []}')
    said = call("export", f"checkpoint={trained.checkpoint}", "subnet=largest", "output=a", "results=results.json")
    assert said.code == 1
    assert "results requires the results.json of an `allinone evaluate` that has 3-64-8bit" in said.err
    assert not (here / "a").exists()


def test_an_earlier_export_is_replaced_only_on_demand(call, here, trained):
    arguments = ("export", f"checkpoint={trained.checkpoint}", "output=a")
    assert call(*arguments, "subnet=largest").code == 0
    said = call(*arguments, "subnet=smallest")
    assert said.code == 1
    assert "overwrite=true" in said.err
    assert call(*arguments, "subnet=smallest", "overwrite=true").code == 0
    assert Manifest.read(here / "a").member == "2-32-4bit"


def test_a_member_that_does_not_exist_is_refused_with_the_nearest(call, here, trained):
    said = call("export", f"checkpoint={trained.checkpoint}", "output=a", "subnet=4-512-4bit")
    assert said.code == 1
    assert "The nearest names are" in said.err
