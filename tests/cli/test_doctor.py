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
    memory = next(finding for finding in findings if finding["topic"] == "memory")
    assert memory["fit"] in ("yes", "partly")
    assert set(memory) == {"topic", "fit", "says"}


def test_a_batch_that_is_too_large_fails(call, here, monkeypatch):
    monkeypatch.setattr("allinone.report.largest_step.available_memory", lambda device: 1_000_000)
    said = call("doctor", "experiment=tiny_synthetic", "device=cpu")
    assert said.code == 1
    assert "unfit" in said.out
    assert "lower data.batch_seconds" in " ".join(said.out.split())


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
