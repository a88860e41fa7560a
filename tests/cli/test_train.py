"""Tests of `allinone train`: what a run leaves behind, what it continues, and what it starts from."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from allinone.cli.main import main
from allinone.training.checkpoints import read_checkpoint
from tests.cli.conftest import TRAIN


@pytest.fixture
def arguments(corpus):
    return [*TRAIN, f"data.corpus.table={corpus}", f"data.cache={corpus.parent / 'cache'}"]


def the_run(experiment: str = "tiny_synthetic") -> Path:
    (folder,) = Path("runs", experiment).iterdir()
    return folder


def test_a_run_leaves_its_configuration_data_report_cost_results_and_log(trained):
    left = {path.name for path in trained.folder.iterdir()}
    assert {"config.yaml", "data.json", "cost.json", "results.json", "log.txt", "checkpoints", "logs"} <= left
    assert json.loads((trained.folder / "results.json").read_text())["steps"] == 4
    assert trained.output == ""


def test_with_nothing_to_resume_a_run_starts_fresh_and_says_so(call, here, arguments):
    said = call(*arguments, "resume=true", "data.num_workers=2")
    assert said.code == 0
    assert "There is no unfinished run to resume: a new one starts." in said.err
    assert json.loads((the_run() / "results.json").read_text())["steps"] == 4


def test_the_newest_unfinished_run_is_continued_to_the_same_weights(call, here, arguments, trained):
    began = Path("runs/tiny_synthetic/2026-01-01_00-00-00")
    shutil.copytree(trained.folder, began)
    for path in (began / "results.json", *(began / "checkpoints").glob("*4.ckpt")):
        path.unlink()
    said = call(*arguments, "resume=true")
    assert said.code == 0
    assert "Continuing from" in said.err
    assert the_run() == began
    before, after = (
        read_checkpoint(folder / "checkpoints" / "step-000000004.ckpt") for folder in (trained.folder, began)
    )
    for name, weight in before["state_dict"].items():
        assert weight.equal(after["state_dict"][name]), name


def test_options_of_distillation_and_dropout_are_the_trainings_and_not_the_models(call, here, arguments, trained):
    options = ("objective=all_in_one_alpha", "objective.hidden=0.5", "adaptive_dropout=member_size")
    assert call(*arguments, *options, "network.dropout=0.1").code == 0
    settings = (the_run() / "config.yaml").read_text()
    for option in ("AlphaDivergence", "hidden: 0.5", "width_power: 1.0"):
        assert option in settings
    before, after = (
        read_checkpoint(folder / "checkpoints" / "model.ckpt")["allinone"] for folder in (trained.folder, the_run())
    )
    after["layout"]["dropout"] = before["layout"]["dropout"]
    for part in ("layout", "space", "quantizer", "features"):
        assert before[part] == after[part]
    assert before.keys() == after.keys()


def test_a_changed_setting_is_refused_with_both_values(call, here, arguments, trained):
    began = Path("runs/tiny_synthetic/2026-01-01_00-00-00")
    shutil.copytree(trained.folder, began)
    (began / "results.json").unlink()
    said = call(*arguments, "resume=true", "optimizer.lr=0.5")
    assert said.code == 1
    assert "optimizer.lr: 0.005 before, 0.5 now" in said.err


def test_a_run_starts_from_a_checkpoint_or_an_exported_member(call, here, arguments, trained, tmp_path):
    assert call(*arguments, f"init={trained.checkpoint}", "experiment=tiny_synthetic").code == 0
    directory = tmp_path / "largest"
    assert main(["export", f"checkpoint={trained.checkpoint}", "subnet=largest", f"output={directory}"]) == 0
    said = call(*arguments, f"init={directory}", "sampler=fixed")
    assert said.code == 0
    assert f"Took over the weights of {directory}" in said.err
    assert len(list(Path("runs/tiny_synthetic").iterdir())) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["sampler=progressive"], "requires sampler.warm_up.steps; found none. Add sampler.warm_up.steps="),
        (["sampler=fixed", "sampler.subnet=9-64-4bit"], "found '9-64-4bit'. The nearest names are"),
    ],
)
def test_a_sampler_that_cannot_be_is_told_before_any_data_are_read(call, here, settings, message):
    said = call(*TRAIN, "data.corpus.table=missing.tsv", *settings)
    assert said.code == 1
    assert message in said.err


def test_a_network_without_code_is_refused_before_any_data_are_read(call, here):
    said = call("train", "experiment=omni_emformer", "data.corpus.folder=missing")
    assert said.code == 1
    assert "A network must have code to be built; found an EmformerTransducerLayout" in said.err


def test_a_member_too_small_for_the_space_is_refused(call, here, arguments, exported):
    said = call(*arguments, f"init={exported}")
    assert said.code == 1
    assert "Choose a network and a search space that are no larger than what you start from" in said.err


def test_a_twin_learns_from_the_teacher_that_it_is_given(call, here, arguments, trained):
    twin = (*arguments, "sampler=fixed", "sampler.subnet=smallest", "seed=1")
    assert call(*twin).code == 0
    assert call(*twin, f"teacher={trained.checkpoint}").code == 0
    alone, taught = sorted(Path("runs/tiny_synthetic").iterdir())
    weights = [read_checkpoint(run / "checkpoints" / "model.ckpt")["state_dict"] for run in (alone, taught)]
    assert weights[0].keys() == weights[1].keys()
    assert any(not weight.equal(weights[1][name]) for name, weight in weights[0].items())


def test_an_exported_member_teaches_as_its_checkpoint_does_and_teaches_the_largest_too(call, here, arguments, trained):
    exported = here / "teacher"
    assert call("export", f"checkpoint={trained.checkpoint}", "subnet=largest", f"output={exported}").code == 0
    masked = ("augment=spec_augment", "augment.max_bands=5")  # whose module in training is not the teacher's
    lone = (*arguments, "sampler=fixed", "sampler.subnet=largest", "seed=1", *masked)
    for teacher in ("null", trained.checkpoint, exported):
        assert call(*lone, f"teacher={teacher}").code == 0
    alone, one, other = (
        read_checkpoint(run / "checkpoints" / "model.ckpt")["state_dict"]
        for run in sorted(Path("runs/tiny_synthetic").iterdir())
    )
    for name, weight in one.items():
        torch.testing.assert_close(other[name], weight, rtol=1e-3, atol=1e-5)
    assert any(not weight.equal(alone[name]) for name, weight in one.items())


def test_an_exported_teacher_of_several_kinds_of_layers_is_refused(call, here, arguments):
    exported = here / "teacher"
    assert call(*arguments, "space.layerwise=true").code == 0
    mixed = "subnet=1-64-8bit+1-32-4bit", f"output={exported}"
    assert call("export", f"checkpoint={the_run() / 'checkpoints' / 'model.ckpt'}", *mixed).code == 0
    said = call(*arguments, f"teacher={exported}")
    assert said.code == 1
    assert "must have layers that are all equal; found 1-64-8bit+1-32-4bit in" in said.err


def test_a_teacher_of_another_kind_is_refused(call, here, arguments, trained):
    decoders = call(*arguments, "attention=decoder_tiny", f"teacher={trained.checkpoint}")
    assert decoders.code == 1
    assert (
        f"the same outputs; found CTC in {trained.checkpoint} and CTC and an attention decoder in the" in decoders.err
    )
    labels = call(*arguments, "tokenizer=char_from_text", f"teacher={trained.checkpoint}")
    assert labels.code == 1
    assert f"of the network that it teaches; found others in {trained.checkpoint}. Start both from" in labels.err
    frames = call(*arguments, "network=conformer_small", "objective.hidden=1", f"teacher={trained.checkpoint}")
    assert frames.code == 1
    assert (
        f"one dimension; found 32 in {trained.checkpoint} and 144 in the network. Give objective.hidden=0" in frames.err
    )


def test_another_logger_gets_all_metrics(call, here, arguments):
    settings = ("+logger._target_=lightning.pytorch.loggers.CSVLogger", "+logger.name=mine")
    assert call(*arguments, *settings).code == 0
    own, mine = ((the_run() / name).rglob("metrics.csv") for name in ("logs", "mine"))
    assert next(mine).read_text() == next(own).read_text()


def test_a_logger_that_is_not_installed_is_told_with_the_command(call, here, arguments, monkeypatch):
    monkeypatch.setattr("lightning.pytorch.loggers.wandb._WANDB_AVAILABLE", False)
    said = call(*arguments, "logger=wandb")
    assert said.code == 1
    assert "logger=wandb requires a package that is not installed" in said.err
    assert "pip install wandb" in said.err


def test_several_processes_train_one_network_in_one_folder(here, arguments):
    command = [sys.executable, "-m", "allinone", *arguments, "trainer.devices=2", "seed=3", "-m"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("This run writes to") == 1
    assert "GLOBAL_RANK: 1, MEMBER: 2/2" in done.stderr
    folder = the_run() / "0"
    assert json.loads((folder / "results.json").read_text())["steps"] == 4
    assert "seed: 3" in (folder / "config.yaml").read_text()
