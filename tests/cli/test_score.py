"""Tests of `allinone score`: NIST's numbers in one document, a readable table, and bad files told of."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from allinone.scoring import write_trn
from tests.scoring.sctk import NAMES, ORACLE, SETS, letters, matched_pairs

SYSTEM = {"name", "wer", "wer_interval", "substitutions", "deletions", "insertions", "words"}
PAIR = {"names", "segments", "mean", "std", "z", "p", "verdict", "p_holm", "verdict_holm", "difference"}
PAIR |= {"difference_interval", "detectable"}


def arguments(folder: Path) -> tuple[str, ...]:
    files = ",".join(str(folder / f"{name}.trn") for name in NAMES)
    return ("score", f"reference={folder / 'ref.trn'}", f"hypotheses=[{files}]", "samples=200")


@pytest.mark.parametrize("texts", SETS)
def test_counts_and_tests_are_those_of_nist(call, here, texts):
    folder = ORACLE / texts
    said = call(*arguments(folder), "format=json")
    document = json.loads(said.out)
    assert said.code == 0
    assert set(document) == {"utterances", "alpha", "samples", "seed", "systems", "pairs"}
    for system in document["systems"]:
        assert set(system) == SYSTEM
        columns = "".join(letters((folder / f"{system['name']}.sgml").read_text(encoding="utf-8")).values())
        kinds = ("substitutions", "deletions", "insertions")
        assert [system[kind] for kind in kinds] == [columns.count(letter) for letter in "SDI"]
        assert system["words"] == len(columns.replace("I", ""))
        assert system["wer"] == 100 * sum(system[kind] for kind in kinds) / system["words"]
    for pair, found in zip(
        document["pairs"], matched_pairs((folder / "mapsswe.txt").read_text(encoding="utf-8")), strict=True
    ):
        assert set(pair) == PAIR
        assert (pair["names"], pair["segments"]) == ([found.first, found.second], found.segments)
        numbers = (pair["mean"], pair["std"], pair["z"])
        assert numbers == pytest.approx((found.mean, found.std, found.z), abs=0.00051)
        better = found.first if found.mean < 0 else found.second
        assert pair["verdict"] == (better if found.differ else "same")
    assert not list(here.iterdir())


def test_the_table_shows_what_the_document_says_in_100_characters(call, here, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    said = call(*arguments(ORACLE / "real"))
    document = json.loads(call(*arguments(ORACLE / "real"), "format=json").out)
    lines = said.out.splitlines()
    assert (said.code, said.err) == (0, "")
    assert max(map(len, lines)) <= 100
    for system in document["systems"]:
        low, high = system["wer_interval"]
        assert any(
            line.split()[:5] == [system["name"], f"{system['wer']:.2f}", f"{low:.2f}", "to", f"{high:.2f}"]
            for line in lines
        )
    for pair in document["pairs"]:
        (line,) = (line for line in lines if line.strip().startswith(" : ".join(pair["names"])))
        word = {pair["names"][0]: "first", pair["names"][1]: "second", "same": "same"}[pair["verdict_holm"]]
        assert line.split()[-1] == word
        assert f"{pair['detectable']:.2f} " in line
        assert f" {pair['segments']} " in line
    assert "Holm's correction for 3 pairs" in said.out


def test_paths_may_stand_after_two_dashes_and_systems_be_named(call, here):
    folder = ORACLE / "real"
    one = call("score", f"reference={folder / 'ref.trn'}", "samples=200", "--", folder / "first.trn")
    assert one.code == 0
    assert "pair" not in one.out
    files = (folder / "first.trn", folder / "first.trn")
    said = call("score", f"reference={folder / 'ref.trn'}", "names=[a,b]", "samples=200", "format=json", "--", *files)
    (pair,) = json.loads(said.out)["pairs"]
    assert (pair["names"], pair["verdict"], pair["detectable"]) == (["a", "b"], "same", None)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["runs/one/test.trn", "runs/other/test.trn"], ["one", "other"]),
        (["runs/one/a.trn", "runs/one/b.trn", "runs/other/a.trn"], ["one/a", "one/b", "other/a"]),
        (["test.trn", "other/test.trn"], ["test", "other/test"]),
        (["one/a.trn", "other/b.trn"], ["a", "b"]),
    ],
)
def test_files_of_the_same_name_are_called_by_the_folders_that_differ(call, here, paths, names):
    for path in paths:
        (here / path).parent.mkdir(parents=True, exist_ok=True)
        write_trn(here / path, [("u", "a b")])
    said = call("score", f"reference={paths[0]}", "format=json", "--", *paths)
    assert [system["name"] for system in json.loads(said.out)["systems"]] == names


def test_capitals_count_where_asked(call, here):
    write_trn(here / "ref.trn", [("u", "The cat")])
    write_trn(here / "hyp.trn", [("u", "the Cat")])
    for setting, errors in (("false", 0), ("true", 2)):
        said = call("score", "reference=ref.trn", "hypotheses=hyp.trn", f"case_sensitive={setting}", "format=json")
        assert json.loads(said.out)["systems"][0]["substitutions"] == errors


def test_utterances_where_nothing_was_said_are_scored_and_told_of(call, here):
    write_trn(here / "ref.trn", [("u", "a b"), ("v", ""), ("w", "@")])
    write_trn(here / "hyp.trn", [("u", "a b"), ("v", "uh"), ("w", "")])
    said = call("score", "reference=ref.trn", "hypotheses=hyp.trn", "format=json")
    assert json.loads(said.out)["systems"][0]["insertions"] == 1
    assert "an utterance without reference words counts as inserted: v, w." in said.err


BAD = {
    "missing": (
        "b (v)\n",
        "found that hyp lacks u and has, but the reference lacks, v. Give files of the same test set.",
    ),
    "duplicate": ("a (u)\na (u)\n", "requires each id once, found a second 'u' in line 2 of hyp.trn; remove one"),
    "malformed": (
        "a (u)\nno id\n",
        "lines of the form 'text (id)', found 'no id' in line 2 of hyp.trn; correct the line",
    ),
    "empty": ("", "Scoring requires utterances; found none in hyp.trn. Give a .trn file"),
    "choice": ("{ a / b } (u)\n", "found a choice in curly brackets: '{ a / b }'. Write one of the alternatives."),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_told_of_in_three_parts(call, here, kind):
    text, message = BAD[kind]
    write_trn(here / "ref.trn", [("u", "a")])
    (here / "hyp.trn").write_text(text)
    said = call("score", "reference=ref.trn", "hypotheses=hyp.trn")
    assert (said.code, said.out) == (1, "")
    assert message in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("hypotheses=[]",), "Scoring requires hypotheses; found none. Add hypotheses=FILE, or paths after --."),
        (("hypotheses=none.trn",), "No such file or directory: none.trn"),
        (("hypotheses=ref.trn", "alpha=5%"), "alpha must be a number, not a negative one; found '5%'"),
        (("hypotheses=ref.trn", "alpha=2"), "alpha must lie between 0 and 1; found 2"),
        (("hypotheses=ref.trn", "seed=-1"), "seed must be a number, not a negative one; found -1"),
        (("hypotheses=ref.trn", "samples=10"), "requires at least 100 samples; found 10"),
        (("hypotheses=ref.trn", "names=[a,b]"), "names requires one for each of the 1 hypotheses; found 2"),
        (
            ("hypotheses=[ref.trn,ref.trn]",),
            "names that differ from each other and from 'same'; found ref.trn, ref.trn",
        ),
        (("hypotheses=ref.trn", "names=same"), "names that differ from each other and from 'same'; found same"),
        (("hypotheses=ref.trn", "format=xml"), "format must be one of table, json; found 'xml'"),
        (("hypotheses=ref.trn", "reference=silent.trn"), "requires references with words; found 1 utterances"),
    ],
)
def test_bad_arguments_are_told_of(call, here, given, message):
    write_trn(here / "ref.trn", [("u", "a")])
    write_trn(here / "silent.trn", [("u", "")])
    reference = () if any(part.startswith("reference=") for part in given) else ("reference=ref.trn",)
    said = call("score", *reference, *given)
    assert (said.code, said.out) == (1, "")
    assert message in said.err
    assert "Traceback" not in said.err


def test_a_hundred_thousand_words_are_scored_in_ten_seconds(call, here):
    chance = np.random.default_rng(0)
    said = chance.integers(5_000, size=(10_000, 10))
    heard = {name: np.where(chance.random(said.shape) < share, 0, said) for name, share in (("a", 0.1), ("b", 0.12))}
    for name, words in {"ref": said, **heard}.items():
        texts = ((f"u{number}", " ".join(map(str, line))) for number, line in enumerate(words))
        write_trn(here / f"{name}.trn", texts)
    before = time.process_time()
    said = call("score", "reference=ref.trn", "hypotheses=[a.trn,b.trn]", "format=json")
    assert time.process_time() - before < 10
    assert [system["words"] for system in json.loads(said.out)["systems"]] == [100_000, 100_000]


def test_scoring_loads_no_torch(tmp_path):
    write_trn(tmp_path / "ref.trn", [("u", "a")])
    program = (
        "import sys; from allinone.cli.main import main; code = main(sys.argv[1:]); "
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    command = [sys.executable, "-c", program, "score", "reference=ref.trn", "hypotheses=ref.trn", "format=json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["systems"][0]["wer"] == 0
