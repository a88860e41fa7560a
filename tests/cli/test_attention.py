"""Tests of decoders that ask an attention decoder, as `evaluate`, `transcribe` and `bench decode` take them."""

import csv
import json
from pathlib import Path

import pytest

import allinone
from allinone.decoding import Joint
from allinone.scoring import read_trn

DECODERS = ("joint", "attention", "attention_greedy", "attention_rescoring")


@pytest.mark.parametrize("decoder", DECODERS)
def test_members_are_evaluated_with_any_decoder_and_their_scores_are_written(call, here, hybrid, decoder):
    arguments = ("evaluate", f"checkpoint={hybrid.checkpoint}", "subnets=[largest,smallest]", "hydra.run.dir=run")
    assert call(*arguments, f"decoder={decoder}", "decoder.max_ratio=0.5").code == 0
    results = json.loads(Path("run/results.json").read_text())
    assert results["decoder"]["kind"] == ("Rescoring" if decoder == "attention_rescoring" else "Joint")
    for row in results["members"]:
        heard = dict(read_trn(Path("run") / f"{row['name']}.trn"))
        with open(f"run/{row['name']}.scores.tsv", encoding="utf-8", newline="") as file:
            scores = {line["id"]: line for line in csv.DictReader(file, delimiter="\t")}
        assert scores.keys() == heard.keys()
        weights = {"attention": 1.0} if decoder in ("attention", "attention_greedy") else {"attention": 0.7, "ctc": 0.3}
        for line in scores.values():
            assert line.keys() == {"id", "total", *weights}
            total = sum(weight * float(line[name]) for name, weight in weights.items())
            assert float(line["total"]) == pytest.approx(total, abs=1e-4)


@pytest.mark.parametrize("decoder", DECODERS)
def test_an_exported_member_brings_its_attention_decoder(call, here, exported_hybrid, corpus, decoder):
    recording = min((corpus.parent / "audio").glob("*.wav"))
    said = call("transcribe", f"model={exported_hybrid}", f"audio={recording}", f"decoder={decoder}")
    assert (said.code, said.err) == (0, "")


def test_alternatives_and_scores_are_in_the_document(call, here, exported_hybrid, corpus):
    recording = min((corpus.parent / "audio").glob("*.wav"))
    arguments = ("decoder=joint", "decoder.beam_size=6", "decoder.nbest=3", "format=json")
    (row,) = json.loads(call("transcribe", f"model={exported_hybrid}", f"audio={recording}", *arguments).out)
    decoder = Joint(beam_size=6, ctc_weight=0.3, nbest=3)
    ((best, *others),) = allinone.load(exported_hybrid, decoder=decoder).hypotheses_of_file(recording)
    assert row["text"] == " ".join(best.text.split())
    assert row["scores"] == [best.scores]
    assert row["alternatives"] == [[{"text": other.text, "scores": other.scores} for other in others]]
    assert len(others) == 2


def test_members_without_an_attention_decoder_are_refused_once(call, here, trained, exported, corpus):
    recordings = sorted((corpus.parent / "audio").glob("*.wav"))[:2]
    message = "requires a network with an attention decoder; found one without. Train one with attention=decoder_small"
    for arguments in (("evaluate", f"checkpoint={trained.checkpoint}"), ("transcribe", f"model={exported}")):
        files = () if arguments[0] == "evaluate" else ("--", *recordings)
        said = call(*arguments, "decoder=joint", *files)
        assert (said.code, said.out) == (1, "")
        assert said.err.count(message) == 1


def test_decoding_with_the_attention_decoder_is_timed(call, here, hybrid):
    arguments = ("bench", "decode", f"checkpoint={hybrid.checkpoint}", "rounds=1", "utterances=4", "device=cpu")
    said = call(*arguments, "decoder=joint", "subnet=smallest", "format=json")
    assert said.code == 0
    assert [row["part"] for row in json.loads(said.out)] == ["encoder", "greedy", "joint"]
