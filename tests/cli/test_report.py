"""Tests of `allinone report`."""

import json
from pathlib import Path

import pytest


@pytest.fixture
def evaluated(call, here, trained) -> str:
    """An evaluation of the miniature run."""
    assert call("evaluate", f"checkpoint={trained.checkpoint}", "split=dev", "hydra.run.dir=family").code == 0
    return "family"


def test_the_table_of_a_run_names_its_commands_and_its_cost(call, evaluated, trained):
    said = call("report", f"evaluation={evaluated}", f"baseline={evaluated}", "samples=100")
    assert said.code == 0
    cost = json.loads((trained.folder / "cost.json").read_text())
    rows = [line for line in said.out.splitlines() if line.startswith("| `")]
    assert len(rows) == 1 + 8
    assert all(line.endswith("| same |") for line in rows[1:])
    assert "correction for 8 members" in said.out
    assert "* family: `allinone train experiment=tiny_synthetic trainer.max_steps=4" in said.out
    assert "data.cache" not in said.out
    assert f"4 steps; {cost['seconds']:,.0f} s of training" in said.out
    assert f"; {cost['machine']}; allinone 0.1.0" in said.out
    assert "* evaluated by `allinone evaluate checkpoint=" in said.out


def test_a_document_keeps_what_stands_around_the_section(call, evaluated):
    Path("RESULTS.md").write_text("# Results\n")
    for _ in range(2):
        assert call("report", f"evaluation={evaluated}", "output=RESULTS.md", "section=dev", "samples=100").code == 0
    text = Path("RESULTS.md").read_text()
    assert text.startswith("# Results\n\n<!-- allinone report: dev -->\n")
    assert text.count("allinone report: dev") == 2
    assert text.count("| `3-64-8bit` |") == 1


def test_the_document_holds_rows_and_training(call, evaluated):
    document = json.loads(call("report", f"evaluation={evaluated}", "format=json", "samples=100").out)
    assert {row["name"] for row in document["members"]} >= {"3-64-8bit", "2-32-4bit"}
    assert document["training"]["family"]["steps"] == 4
    assert document["utterances"] == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluation=gone"], "A report requires the run folder of an `allinone evaluate`"),
        (["evaluation=family", "format=table"], "format must be one of markdown, json; found 'table'"),
        (["evaluation=family", "format=json", "output=a.md"], "output takes Markdown; found format=json"),
    ],
)
def test_bad_input_is_told(call, evaluated, arguments, message):
    said = call("report", *arguments)
    assert (said.code, said.out) == (1, "")
    assert message in said.err
    assert not Path("a.md").exists()
