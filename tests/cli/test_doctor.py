"""Tests of `allinone doctor`."""

import json
import subprocess
import sys

from allinone.cli.main import main


def test_the_doctor_speaks_in_sentences(call, here):
    said = call("doctor", "device=cpu")
    assert said.code == 0
    for topic in ("versions", "extra beam", "disk for runs", "processors", "GPU"):
        assert topic in said.out
    assert "memory" not in said.out
    assert list(here.iterdir()) == []


def test_with_an_experiment_the_largest_step_is_run(call, here):
    findings = json.loads(call("doctor", "experiment=tiny_synthetic", "device=cpu", "format=json").out)
    computed, memory = (finding for finding in findings if finding["topic"].startswith("memory"))
    assert computed["fit"] == "yes"
    assert computed["says"].startswith("A step with 20 s of audio asks the device for 0.0 GB")
    assert memory["fit"] in ("yes", "partly")
    assert set(memory) == {"topic", "fit", "says"}


def test_a_batch_that_is_too_large_fails(call, here, monkeypatch):
    monkeypatch.setattr("allinone.report.largest_step.available_memory", lambda device: 30_000_000)
    said = call("doctor", "experiment=tiny_synthetic", "device=cpu")
    assert said.code == 1
    assert "unfit" in said.out
    assert "lower data.batch_seconds" in " ".join(said.out.split())


def test_a_step_that_cannot_fit_is_not_tried(call, here, monkeypatch):
    monkeypatch.setattr("allinone.report.largest_step.available_memory", lambda device: 1_000_000)
    monkeypatch.setattr("allinone.report.largest_step.peak_of_training", None)
    settings = ("trainer.devices=2", "trainer.ema_decay=0.9", "optimizer.sharded=true", "format=json")
    said = call("doctor", "experiment=tiny_synthetic", "device=cpu", *settings)
    assert said.code == 1
    *_, last = json.loads(said.out)
    assert (last["topic"], last["fit"]) == ("memory, computed", "no")
    assert "0.0 GB are free here for 2 of them. What helps: trainer.activation_checkpointing=true" in last["says"]
    assert "trainer.ema_decay=null" in last["says"]
    assert "a smaller data.batch_seconds with a larger trainer.accumulate, more trainer.devices." in last["says"]


def test_what_two_billion_parameters_need_is_computed_without_a_gpu(call, here, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    said = call("doctor", "experiment=librispeech_xls_r_2b", "init=x", "data.corpus.folder=x", "device=cuda")
    assert said.code == 1  # for want of a GPU
    assert "A step with 100 s of audio asks each of 8 devices for 22.0 GB" in " ".join(said.out.split())


def test_a_pair_that_does_not_work_is_told_even_though_it_cannot_be_imported():
    program = (
        "import sys, importlib.metadata as metadata; sys.modules['torchaudio'] = None; real = metadata.version;"
        "metadata.version = lambda name: '2.13.0' if name == 'torchaudio' else real(name);"
        "from allinone.cli.main import main; sys.exit(main(['doctor', 'experiment=tiny_synthetic', 'device=cpu']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert "torchaudio 2.13.0; the pair that works is 2.11 with 2.11: pip install" in " ".join(done.stdout.split())


def test_a_gpu_that_is_asked_for_must_be_there(call, here, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    said = call("doctor", "device=cuda")
    assert said.code == 1
    assert "device=cuda was asked for" in said.out
    assert main(["doctor", "device=cpu"]) == 0
