"""Tests of `allinone quantise`: a run folder that other verbs take, and what is refused."""

import json
from pathlib import Path

import pytest

from allinone.export import Manifest


def quantise(call, trained, *arguments):
    return call("quantise", f"checkpoint={trained.checkpoint}", *arguments)


def test_a_quantised_member_is_evaluated_exported_and_compared(call, here, trained):
    said = quantise(call, trained, "bits=4", "subnet=3-32-8bit", "output=rounded")
    assert (said.code, said.out) == (0, "")
    assert "3-32-4bit is in rounded" in said.err
    model = "checkpoint=rounded/checkpoints/model.ckpt"
    (row,) = json.loads(call("evaluate", model, "format=json").out)
    assert row["name"] == "3-32-4bit"
    assert call("export", model, "subnet=largest", "output=small").code == 0
    assert Manifest.read(here / "small").bytes_stored == row["bytes_stored"]
    compared = ("compare", f"one_pass={trained.folder}", "twins=[rounded]", "baseline=rounded", "splits=dev")
    said = call(*compared, "samples=100", "format=json")
    assert said.code == 0
    document = json.loads(said.out)
    assert [row["name"] for row in document["members"]] == ["3-32-4bit"]
    assert document["cost"]["twins_seconds"] == 0


@pytest.mark.parametrize("quantizer", ["lsq", "absmean", "absmax_groups"])
def test_every_quantiser_rounds(call, here, trained, quantizer):
    size = ("quantizer.granularity.size=16",) if quantizer.endswith("groups") else ()
    assert quantise(call, trained, "bits=2", f"quantizer={quantizer}", *size, "output=rounded").code == 0
    settings = (here / "rounded/config.yaml").read_text()
    assert "subnet: 3-64-2bit" in settings


def test_calibrated_scales_differ_and_the_folder_tells_on_how_many_utterances(call, here, trained):
    for count in (0, 3):
        arguments = ("bits=2", "quantizer=lsq", f"calibration={count}", f"output=on_{count}")
        assert quantise(call, trained, *arguments).code == 0
        assert f"calibration: {count}\n" in Path(f"on_{count}/config.yaml").read_text()
    plain, calibrated = (Path(f"on_{count}/checkpoints/model.ckpt").read_bytes() for count in (0, 3))
    assert plain != calibrated


def test_what_cannot_be_done_is_told_and_nothing_is_written(call, here, trained):
    for arguments, message in (
        (("bits=9",), "Bits must be one of 2, 3, 4, 5, 6, 7, 8, 32; found 9"),
        (("bits=1",), "Bits must be one of 2, 3, 4, 5, 6, 7, 8, 32; found 1"),
        (("bits=4", "subnet=9-64-8bit"), "The nearest names are"),
        (("bits=4", "calibration=8"), "Calibration requires a quantiser that keeps its scales; found AbsMax"),
        (("bits=32", "quantizer=lsq", "calibration=8"), "Calibration requires few bits; found bits=32"),
        (("bits=4", "calibration=-1"), "calibration requires a number of utterances, 0 or more; found -1"),
        (("bits=4", "quantizer=absmax_groups"), "Groups of 64 inputs must divide the inputs of every matrix"),
    ):
        said = quantise(call, trained, *arguments, "output=a")
        assert (said.code, said.out) == (1, ""), arguments
        assert message in said.err
    assert not (here / "a").exists()
    (here / "a").mkdir()
    (here / "a" / "mine").touch()
    assert "The output must be a folder that is new or empty" in quantise(call, trained, "bits=4", "output=a").err
