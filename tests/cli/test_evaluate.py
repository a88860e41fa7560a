"""Tests of `allinone evaluate`."""

import json
import shutil
from pathlib import Path

import pytest
import soundfile

from allinone.cli.tables import STORED
from allinone.data import write_synthetic_corpus
from allinone.scoring import ErrorCounts, character_errors, read_trn, word_errors

MEMBERS = ["3-64-8bit", "3-64-4bit", "3-32-8bit", "3-32-4bit", "2-64-8bit", "2-64-4bit", "2-32-8bit", "2-32-4bit"]


def the_run() -> Path:
    (folder,) = Path("runs/evaluate").iterdir()
    return folder


def test_every_member_is_scored_in_one_document(call, here, trained):
    said = call("evaluate", f"checkpoint={trained.checkpoint}", "format=json")
    rows = json.loads(said.out)
    assert said.code == 0
    assert [row["name"] for row in rows] == MEMBERS
    wanted = {"wer", "cer", "substitutions", "deletions", "insertions", "words", "parameters", "ratio", "bytes_stored"}
    assert all(wanted <= set(row) for row in rows)
    assert json.loads((the_run() / "results.json").read_text())["members"] == rows


def test_the_transcription_files_give_the_rates_of_the_table(call, here, trained):
    rows = json.loads(call("evaluate", f"checkpoint={trained.checkpoint}", "split=dev", "format=json").out)
    references = dict(read_trn(the_run() / "reference.trn"))
    assert len(references) == 6
    for row in rows:
        heard = dict(read_trn(the_run() / f"{row['name']}.trn"))
        assert heard.keys() == references.keys()
        words = sum((word_errors(references[name], heard[name]) for name in references), ErrorCounts())
        characters = sum((character_errors(references[name], heard[name]) for name in references), ErrorCounts())
        assert (row["wer"], row["cer"], row["words"]) == (words.rate, characters.rate, words.words)


def test_scoring_the_transcription_files_gives_the_counts_of_the_table(call, here, trained):
    rows = json.loads(
        call("evaluate", f"checkpoint={trained.checkpoint}", "subnets=[largest,smallest]", "format=json").out
    )
    files = [the_run() / f"{row['name']}.trn" for row in rows]
    said = call("score", f"reference={the_run() / 'reference.trn'}", "format=json", "--", *files)
    keys = ("name", "wer", "substitutions", "deletions", "insertions", "words")
    wanted = [{key: row[key] for key in keys} for row in rows]
    assert [{key: system[key] for key in keys} for system in json.loads(said.out)["systems"]] == wanted


def test_the_table_shows_what_the_document_says(call, here, trained):
    said = call("evaluate", f"checkpoint={trained.checkpoint}", "subnets=[smallest,3-64-8bit,2-32-4bit]")
    (results,) = json.loads((the_run() / "results.json").read_text())["members"][:1]
    assert results["name"] == "2-32-4bit"
    lines = [line.split() for line in said.out.splitlines() if line.split()[:1] in (["2-32-4bit"], ["3-64-8bit"])]
    assert [line[0] for line in lines] == ["2-32-4bit", "3-64-8bit"]
    assert lines[0][1] == f"{results['wer']:.2f}"
    assert lines[0][-1] == STORED.write(results)
    assert f"{results['words']:,} words of 6 utterances (lines, test)" in said.out


def test_examples_stand_beside_what_the_ends_heard_and_can_be_listened_to(call, here, trained):
    arguments = ("evaluate", f"checkpoint={trained.checkpoint}", "examples=2")
    said = call(*arguments, "save_audio=heard", "split=train")
    examples = json.loads((the_run() / "results.json").read_text())["examples"]
    assert len(examples) == 2
    for example in examples:
        assert list(example["hypotheses"]) == ["3-64-8bit", "2-32-4bit"]
        assert f"{example['id']}\n  said       {example['reference']}\n" in said.out
        samples, rate = soundfile.read(here / "heard" / f"{example['id']}.wav")
        assert rate == 16_000
        assert len(samples) > 8_000
    table = (here / "heard" / "references.tsv").read_text().splitlines()
    assert table[0] == "id\ttext"
    assert table[1:] == [f"{example['id']}\t{example['reference']}" for example in examples]


def test_some_utterances_are_the_same_at_any_time_and_examples_are_among_them(call, here, trained):
    heard = []
    for run, count in enumerate((1, 3, 3)):
        folder = Path(f"heard_{run}")
        arguments = f"utterances={count}", "examples=1", "subnets=smallest", f"hydra.run.dir={folder}"
        assert call("evaluate", f"checkpoint={trained.checkpoint}", *arguments).code == 0
        results = json.loads((folder / "results.json").read_text())
        assert results["utterances"] == count
        heard.append({line.rpartition("(")[2] for line in (folder / "reference.trn").read_text().splitlines()})
        assert f"{results['examples'][0]['id']})" in heard[-1]
    assert heard[0] < heard[1] == heard[2]


def test_the_same_seed_chooses_the_same_examples(call, here, trained):
    outputs = [
        call("evaluate", f"checkpoint={trained.checkpoint}", "examples=2", f"seed={seed}").out for seed in (0, 0, 5)
    ]
    assert outputs[0] == outputs[1] != outputs[2]


def test_every_member_has_rates_by_speaker_length_and_rarity(call, here, trained, corpus):
    header, *lines = corpus.read_text().splitlines()
    spoken = [f"{header}\tspeaker", *(f"{line}\t{'ab'[number // 10 % 2]}" for number, line in enumerate(lines))]
    table = corpus.with_name("speakers.tsv")
    table.write_text("\n".join(spoken) + "\n")
    arguments = ["subnets=[largest,smallest]", "slices=true", "slicing.seconds=[1]", "slicing.seen=[1,1000]"]
    arguments += ["data=table", f"data.corpus.table={table}"]
    said = call("evaluate", f"checkpoint={trained.checkpoint}", *arguments)
    assert said.code == 0
    rows = json.loads((the_run() / "results.json").read_text())["members"]
    for row in rows:
        assert list(row["slices"]) == ["speaker", "seconds", "seen"]
        for kind, slices in row["slices"].items():  # each divides all words
            wrong = row["substitutions"] + row["deletions"] + (row["insertions"] if kind != "seen" else 0)
            assert sum(slice["words"] for slice in slices.values()) == row["words"]
            assert round(sum(slice["words"] * slice["wer"] / 100 for slice in slices.values())) == wrong
    (line,) = (line.split() for line in said.out.splitlines() if line.split()[:2] == ["speaker", "a"])
    slices = [row["slices"]["speaker"]["a"] for row in rows]
    assert line == ["speaker", "a", str(slices[0]["words"]), *(f"{slice['wer']:.1f}" for slice in slices)]


def test_settings_of_the_corpus_can_be_changed(call, here, trained):
    assert call("evaluate", f"checkpoint={trained.checkpoint}", "subnets=largest", "data.cache=other").code == 0
    assert any((here / "other").iterdir())


def test_another_corpus_can_be_evaluated_and_is_told_to_be_another(call, here, trained, tmp_path):
    table = write_synthetic_corpus(tmp_path / "other", utterances=20, seed=3)
    said = call(
        "evaluate", f"checkpoint={trained.checkpoint}", "subnets=largest", "data=table", f"data.corpus.table={table}"
    )
    assert said.code == 0
    assert "not what the checkpoint was trained on" in said.err
    assert "of 2 utterances" in said.out


def test_another_corpus_must_be_named(call, here, trained):
    said = call("evaluate", f"checkpoint={trained.checkpoint}", "data=table")
    assert said.code == 1
    assert "`allinone evaluate` requires data.corpus.table; found none" in said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["split=tset"], "split must be one of train, dev, test or a part of one, such as test-other; found 'tset'"),
        (["format=xml"], "format must be one of table, json; found 'xml'"),
        (["subnets=[3-64-2bit]"], "found '3-64-2bit'. The nearest names are"),
        (["subnets=[]"], "subnets requires names of members; found none"),
        (["sample=2"], "sample requires a layer-wise space"),
        (["utterances=0"], "utterances requires a number of 1 or more; found 0. Leave it out to hear all"),
        (["save_audio=heard"], "save_audio requires a number of examples; found examples=0"),
    ],
)
def test_what_cannot_be_is_refused(call, here, trained, arguments, message):
    said = call("evaluate", f"checkpoint={trained.checkpoint}", *arguments)
    assert (said.code, said.out) == (1, "")
    assert message in said.err


def test_a_torn_or_missing_checkpoint_is_refused(call, here, trained):
    assert "found none at gone.ckpt" in call("evaluate", "checkpoint=gone.ckpt").err
    shutil.copy(trained.checkpoint, here / "torn.ckpt")
    (here / "torn.ckpt").write_bytes((here / "torn.ckpt").read_bytes()[:5000])
    said = call("evaluate", "checkpoint=torn.ckpt")
    assert said.code == 1
    assert "found torn.ckpt, which cannot be read" in said.err
