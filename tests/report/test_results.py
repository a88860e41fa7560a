"""Tests of the table of results: rows belong to their evaluations, what was not evaluated alike is refused."""

import json
from pathlib import Path

import pytest

from allinone.report.results import Evaluated, judge, put_section, table
from allinone.scoring import write_trn

SAID = {f"u{number:02}": "one two three four" for number in range(40)}
WRONG = dict.fromkeys(list(SAID)[:30], "one too")
SIZE = {"parameters": 1_500_000, "ratio": 5.0, "bytes_stored": 800_000, "cer": 3.25, "wer": 12.5}


def write(folder: Path, heard: dict[str, dict[str, str]], **changes: object) -> Evaluated:
    """An evaluation as it would have been left."""
    folder.mkdir()
    write_trn(folder / "reference.trn", SAID.items())
    for name, texts in heard.items():
        write_trn(folder / f"{name}.trn", (SAID | texts).items())
    results = {
        "checkpoint": "gone.ckpt",
        "corpus": "Corpus",
        "split": "test",
        "decoder": {"kind": "Greedy"},
        "members": [{"name": name, **SIZE} for name in heard],
    }
    (folder / "results.json").write_text(json.dumps(results | changes))
    return Evaluated.read(folder)


def test_each_member_is_judged_against_the_baseline(tmp_path):
    family = write(tmp_path / "family", {"good": {}, "bad": WRONG})
    baseline = write(tmp_path / "baseline", {"dense": dict(list(WRONG.items())[:1])})
    good, bad = judge(family, baseline, samples=200)
    assert (good["verdict"], bad["verdict"]) == ("same", "worse")
    assert good["wer_interval"] == (0, 0)
    assert good["difference"] == pytest.approx(-100 * 3 / 160)
    assert bad["difference"] == pytest.approx(100 * 29 * 3 / 160)
    assert bad["difference_interval"][0] < bad["difference"] < bad["difference_interval"][1]
    assert bad["p"] <= bad["p_holm"] < 0.001
    (turned,) = judge(baseline, write(tmp_path / "other", {"bad": WRONG}), samples=200)
    assert turned["verdict"] == "better"


def test_a_family_is_judged_without_a_baseline_too(tmp_path):
    (row,) = judge(write(tmp_path / "family", {"bad": WRONG}), None, samples=200)
    assert "verdict" not in row
    text = table([row], None)
    assert text.splitlines()[0].count("|") == text.splitlines()[2].count("|") == 7
    assert "| `bad` | 1.50 M | 5.00 | 0.80 MB | 3.2 | 12.5 (" in text


def test_the_baseline_comes_first_in_the_table(tmp_path):
    family = write(tmp_path / "family", {"good": {}, "bad": WRONG})
    baseline = write(tmp_path / "baseline", {"dense": {}})
    lines = table(judge(family, baseline, samples=200), baseline.results["members"][0]).splitlines()
    assert [line.split("`")[1] for line in lines[2:]] == ["dense", "good", "bad"]
    assert len({line.count("|") for line in lines}) == 1


@pytest.mark.parametrize(
    ("changes", "found"),
    [({"split": "dev"}, "found split test"), ({"decoder": {"kind": "Beam"}}, "found decoder {'kind': 'Greedy'}")],
)
def test_what_was_not_evaluated_alike_is_refused_with_both_values(tmp_path, changes, found):
    family, other = write(tmp_path / "family", {"a": {}}), write(tmp_path / "other", {"b": {}}, **changes)
    with pytest.raises(ValueError, match="A baseline must be evaluated like the family") as error:
        judge(family, other)
    assert found in str(error.value)
    assert str(next(iter(changes.values()))) in str(error.value)


def test_other_utterances_are_refused(tmp_path):
    family, other = write(tmp_path / "family", {"a": {}}), write(tmp_path / "other", {"b": {}})
    other.references.pop("u00")
    with pytest.raises(ValueError, match=r"on the same utterances; found 40 in .* and others in .* \(39\)"):
        judge(family, other)


@pytest.mark.parametrize("lost", ["results.json", "a.trn", "reference.trn"])
def test_a_folder_that_lacks_something_is_refused(tmp_path, lost):
    write(tmp_path / "family", {"a": {}})
    (tmp_path / "family" / lost).unlink()
    with pytest.raises(ValueError, match="A report requires the run folder of an `allinone evaluate`") as error:
        Evaluated.read(tmp_path / "family")
    assert lost in str(error.value)


def test_a_section_is_replaced_and_all_else_stays():
    once = put_section("# Title\n\nwords\n", "greedy", "old\n")
    assert once.startswith("# Title\n\nwords\n\n<!-- allinone report: greedy -->\nold\n<!-- end")
    both = put_section(once, "beam", "more") + "\nafter\n"
    new = put_section(both, "greedy", "new\nlines")
    assert new == both.replace("old\n", "new\nlines\n")
    assert put_section("", "a", "b").startswith("<!-- allinone report: a -->\nb\n")


def test_half_a_section_is_refused():
    document = put_section("", "greedy", "old").replace("<!-- end of", "<!-- end")
    with pytest.raises(ValueError, match="found 1 of the one and 0 of the other"):
        put_section(document, "greedy", "new")
