"""Tests of `allinone compare`."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import TRAIN


@pytest.fixture
def twins(call, here, trained, corpus) -> list[str]:
    """The run of two members alone, with the settings of the supernet's."""
    data = (f"data.corpus.table={corpus}", f"data.cache={corpus.parent / 'cache'}")
    names = ["3-32-8bit", "2-32-4bit"]
    for name in names:
        arguments = (*TRAIN, *data, "sampler=fixed", f"sampler.subnet={name}", f"hydra.run.dir={name}")
        assert call(*arguments).code == 0
    return names


def test_members_stand_beside_their_twins_with_the_cost_of_both(call, trained, twins):
    arguments = ("compare", f"one_pass={trained.folder}", f"twins=[{','.join(twins)}]", "baseline=3-32-8bit")
    said = call(*arguments, "samples=100", "hydra.run.dir=compared")
    assert said.code == 0
    document = json.loads(Path("compared/comparison.json").read_text())
    assert [row["name"] for row in document["members"]] == twins
    assert document["utterances"] == 12  # dev and test
    for name in twins:
        assert f"| `{name}` |" in said.out
        for split in ("dev", "test"):
            assert Path(f"compared/{name}/{split}/{name}.trn").is_file()
    seconds = [json.loads(Path(name, "cost.json").read_text())["seconds"] for name in twins]
    assert document["cost"]["twins_seconds"] == pytest.approx(sum(seconds))
    assert document["cost"]["twins_single_runs"] == pytest.approx(sum(seconds) / seconds[0])
    assert Path("compared/twins.svg").read_text().count(">") > 50
    again = call(*arguments, "samples=100", "format=json")
    assert json.loads(again.out)["members"] == document["members"]


def test_the_table_replaces_a_section_of_a_document(call, trained, twins):
    Path("RESULTS.md").write_text("# Results\n")
    said = call(
        "compare", f"one_pass={trained.folder}", f"twins={twins[0]}", "splits=dev", "samples=100", "output=RESULTS.md"
    )
    assert (said.code, said.out) == (0, "")
    assert Path("RESULTS.md").read_text().startswith("# Results\n\n<!-- allinone report: twins -->\n")


def test_what_cannot_be_compared_is_told(call, here, trained, twins, corpus):
    one = f"one_pass={trained.folder}"
    data = (f"data.corpus.table={corpus}", f"data.cache={corpus.parent / 'cache'}")
    wider = ("sampler=fixed", "space.widths=[24]", "sampler.subnet=smallest", "hydra.run.dir=wider")
    assert call(*TRAIN, *data, *wider).code == 0
    for arguments, message in (
        ((one, "twins=[]", "format=json", "output=a.md"), "output takes Markdown; found format=json"),
        ((one, "twins=[]"), "A comparison requires twins; found none"),
        ((one, f"twins=[{trained.folder}]"), "found " + str(trained.folder) + " with allinone.subnet.SandwichSampler"),
        ((one, f"twins=[{twins[0]},{twins[0]}]"), f"found two runs that trained {twins[0]}"),
        ((one, "twins=[wider]"), "The nearest names are"),
        ((one, "twins=[gone]"), "A comparison requires finished runs"),
        ((one, f"twins=[{twins[0]}]", "splits=[train2]"), "split must be one of"),
    ):
        said = call("compare", *arguments, "samples=100")
        assert (said.code, said.out) == (1, ""), arguments
        assert message in said.err
