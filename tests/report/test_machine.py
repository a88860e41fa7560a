"""Tests of what is said about a machine."""

import collections
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from allinone.report import machine
from allinone.report.machine import examine


def said(topic: str, **settings) -> machine.Finding:
    settings = {"folders": [Path("runs")], "device": "cpu"} | settings
    return next(finding for finding in examine(**settings) if finding.topic == topic)


@pytest.mark.parametrize(
    ("torch", "torchaudio", "fit"),
    [("2.11.0", "2.11.0", "yes"), ("2.11.0+cpu", "2.11.1", "yes"), ("2.13.0", "2.11.0", "no"), ("2.11.0", None, "no")],
)
def test_only_one_pair_of_versions_is_fit(monkeypatch, torch, torchaudio, fit):
    monkeypatch.setattr(machine, "_version", {"torch": torch, "torchaudio": torchaudio}.get)
    finding = said("versions")
    assert finding.fit == fit
    assert ("pip install" in finding.says) == (fit == "no")


def test_a_missing_extra_is_named_with_its_command(monkeypatch):
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(machine, "version", missing)
    finding = said("extra beam")
    assert finding.fit == "partly"
    assert finding.says == "flashlight-text is missing, which beam search needs: pip install 'allinone[beam]'."


def test_every_extra_that_brings_a_package_is_looked_at():
    settings = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    brought = settings["project"]["optional-dependencies"]
    assert set(machine.EXTRAS) == set(brought) - {"test"}
    for extra, (package, _) in machine.EXTRAS.items():
        assert brought[extra][0].startswith(f"{package}>=")


def test_a_package_that_is_there_is_not_lacking(monkeypatch):
    monkeypatch.setattr(machine, "_version", {"transformers": "5.20.0"}.get)
    assert machine.lacks("huggingface") is None
    assert said("extra huggingface").says.startswith("transformers 5.20.0 is there for the comparison with")
    assert machine.lacks("wandb") == (
        "wandb is missing, which logging to Weights & Biases needs: pip install 'allinone[wandb]'."
    )


def test_a_full_disk_is_unfit(monkeypatch, tmp_path):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage(1e12, 1e12, 1e8))
    finding = said(f"disk for {tmp_path / 'new' / 'runs'}", folders=[tmp_path / "new" / "runs"])
    assert finding.fit == "no"
    assert "0.1 GB are free; the embedded recipe alone wants 2.0 GB" in finding.says


def test_more_threads_than_cores_are_told(monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: 1000)
    assert "1000 threads for the computation; more threads than cores" in said("processors").says
