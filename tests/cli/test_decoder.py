"""Tests of the decoders as `evaluate` and `transcribe` take them, and of the texts to train an n-gram on."""

import json
from pathlib import Path

import pytest

from allinone.data.synthetic import LETTERS
from allinone.scoring import read_trn
from tests.decoding.examples import write_arpa

pytest.importorskip("flashlight", reason="flashlight-text has no wheel for this Python")


@pytest.fixture
def ngram(call, corpus, here) -> Path:
    """A bigram of the words of the training texts."""
    assert call("texts", "data=table", f"data.corpus.table={corpus}", "output=train.txt").code == 0
    return write_arpa(here / "words.arpa", *sorted(set(Path("train.txt").read_text().split())))


def heard(folder: str, member: str) -> set[str]:
    (trn,) = Path(folder).rglob(f"{member}.trn")
    return {word for _, text in read_trn(trn) for word in text.split()}


def test_texts_are_the_transcripts_of_a_split(call, here, corpus):
    said = call("texts", "data=table", f"data.corpus.table={corpus}", "split=dev", "output=dev.txt")
    assert (said.code, said.out) == (0, "")
    assert "dev.txt: 6 transcripts (lines, dev)." in said.err
    rows = [line.split("\t") for line in corpus.read_text().splitlines()]
    assert Path("dev.txt").read_text().splitlines() == [row[3] for row in rows if row[2] == "dev"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["output=a.txt", "split=all"],
            "a part of one, such as test-other; found 'all'.",
        ),
        ([], "`allinone texts` requires output; found none. Add output=..."),
        (["output=gone/a.txt"], "No such file or directory: gone/a.txt"),
    ],
)
def test_texts_that_cannot_be_written_are_told(call, here, corpus, arguments, message):
    said = call("texts", "data=table", f"data.corpus.table={corpus}", *arguments)
    assert (said.code, said.out) == (1, "")
    assert message in said.err


def test_every_member_is_decoded_alike_and_the_document_says_how(call, here, trained, ngram):
    said = call(
        "evaluate",
        f"checkpoint={trained.checkpoint}",
        "subnets=[largest,smallest]",
        "decoder=beam_ngram",
        f"decoder.ngram={ngram}",
        "decoder.lm_weight=0.1",
        "decoder.word_score=9",
        "hydra.run.dir=run",
    )
    assert said.code == 0
    settings = {"kind": "NgramBeam", "ngram": str(ngram), "lm_weight": 0.1, "word_score": 9}
    assert json.loads(Path("run/results.json").read_text())["decoder"].items() >= settings.items()
    known = set(Path("train.txt").read_text().split())
    for member in ("3-64-8bit", "2-32-4bit"):
        assert heard("run", member)
        assert heard("run", member) <= known


def test_weights_are_tuned_by_a_sweep(call, here, trained, ngram):
    arguments = ("evaluate", "-m", f"checkpoint={trained.checkpoint}", "subnets=largest", "split=dev")
    arguments += ("decoder=beam_ngram", f"decoder.ngram={ngram}", "decoder.word_score=-99,20")
    assert call(*arguments, "hydra.sweep.dir=sweep").code == 0
    results = [json.loads(path.read_text()) for path in sorted(Path("sweep").glob("*/results.json"))]
    assert [result["decoder"]["word_score"] for result in results] == [-99, 20]
    assert results[0]["members"][0]["deletions"] > results[1]["members"][0]["deletions"]


def test_greedily_decoded_results_say_so(call, here, trained):
    call("evaluate", f"checkpoint={trained.checkpoint}", "subnets=largest", "hydra.run.dir=run")
    assert json.loads(Path("run/results.json").read_text())["decoder"] == {"kind": "Greedy"}


def test_an_exported_member_is_decoded_as_is_asked(call, here, exported, corpus, ngram):
    recording = min((corpus.parent / "audio").glob("*.wav"))
    arguments = ("transcribe", f"model={exported}", f"audio={recording}", "decoder=beam_ngram")
    said = call(*arguments, f"decoder.ngram={ngram}", "decoder.lm_weight=0", "decoder.word_score=9")
    assert (said.code, said.err) == (0, "")
    assert set(said.out.split()) <= set(Path("train.txt").read_text().split())
    assert said.out.split()
    assert call("transcribe", f"model={exported}", f"audio={recording}", "decoder=beam").code == 0


def test_a_card_names_the_decoder_of_its_error_rates(call, here, trained):
    arguments = ("subnets=smallest", "decoder=beam", "split=dev", "hydra.run.dir=run")
    assert call("evaluate", f"checkpoint={trained.checkpoint}", *arguments).code == 0
    arguments = ("subnet=smallest", "output=small", "results=run/results.json")
    assert call("export", f"checkpoint={trained.checkpoint}", *arguments).code == 0
    assert "| WER on dev (decoded by Beam) | " in Path("small/README.md").read_text()


@pytest.mark.parametrize("verb", ["evaluate", "transcribe"])
def test_an_ngram_that_is_missing_or_of_other_symbols_is_refused(call, here, trained, exported, verb):
    arguments = [f"checkpoint={trained.checkpoint}"] if verb == "evaluate" else [f"model={exported}", "audio=a.wav"]
    said = call(verb, *arguments, "decoder=beam_ngram")
    assert (said.code, said.out) == (1, "")
    assert f"`allinone {verb}` requires decoder.ngram; found none. Add decoder.ngram=..." in said.err
    said = call(verb, *arguments, "decoder=beam_ngram", "decoder.ngram=gone.arpa")
    assert "requires an ARPA file; found none at" in said.err
    shouted = write_arpa(here / "shouted.arpa", *LETTERS.upper())
    said = call(verb, *arguments, "decoder=beam_ngram", f"decoder.ngram={shouted}")
    assert (said.code, said.out) == (1, "")
    assert "found 8 of 8 that they cannot, such as 'A', 'D'" in said.err
