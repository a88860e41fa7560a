"""The law of resuming: a run that was killed and continued ends as if nothing had happened, bit for bit."""

import json
import os
import random
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from allinone.data import write_synthetic_corpus
from allinone.training.checkpoints import read_checkpoint, step_checkpoints
from tests.laws.runs import Death, metrics, run, start, steps

MAX_STEPS = 22
NETWORK = [  # the tiny Conformer has no dropout
    "network._target_=allinone.models.ConformerLayout",
    "+network={num_layers: 3, dim: 32, ffn_dim: 64, num_heads: 2, kernel_size: 7, subsampling_channels: 8, "
    "separable_subsampling: true, positions: rotary, front_end_bits: 32, dropout: 0.1, convolution_norm: layer}",
]


@pytest.fixture(scope="module")
def arguments(tmp_path_factory) -> list[str]:
    """A run of 22 steps over an epoch of about 8: two workers, speed perturbation, masks, dropout, EMA, a decoder."""
    table = write_synthetic_corpus(tmp_path_factory.mktemp("corpus"), utterances=40)
    return [
        "experiment=tiny_synthetic",
        f"data.corpus.table={table}",
        "data.cache=null",
        "data.num_workers=2",
        "data.batch_seconds=5",
        "data.eval_batch_seconds=2",
        "data.num_buckets=2",
        "data.speed_factors=[0.9,1.0,1.1]",
        "augment=spec_augment",
        "attention=decoder_tiny",
        "objective.intermediate=0.3",
        *NETWORK,
        f"trainer.max_steps={MAX_STEPS}",
        "trainer.ema_decay=0.9",
        "trainer.validate_every_steps=7",
        "trainer.checkpoint_every_steps=2",
        "trainer.accelerator=cpu",
    ]


@pytest.fixture(scope="module")
def straight(arguments, tmp_path_factory) -> Path:
    """The working directory of a run that nothing stopped."""
    folder = tmp_path_factory.mktemp("straight")
    assert run(folder, arguments) == 0, (folder / "log").read_text()
    return folder


def run_folder(folder: Path) -> Path:
    (found,) = (folder / "runs" / "tiny_synthetic").iterdir()
    return found


def assert_same(folder: Path, straight: Path, unlogged: Iterable[int] = (), max_steps: int = MAX_STEPS) -> None:
    """Compares all that was recorded.

    A step is logged after its checkpoint, so that whoever dies between the two lacks this entry; a validation that was
    told to stop is not repeated.
    """
    assert steps(folder) == steps(straight)
    assert set(steps(straight)) == set(range(max_steps))
    found, expected = run_folder(folder), run_folder(straight)
    logged, all_of_it = metrics(found), metrics(expected)
    assert logged.items() <= all_of_it.items()
    assert {step + 1 for step, _ in all_of_it.keys() - logged.keys()} <= set(unlogged)
    assert json.loads((found / "results.json").read_text()) == json.loads((expected / "results.json").read_text())
    for name in (f"step-{max_steps:09d}.ckpt", "best.ckpt"):
        one, two = (read_checkpoint(run / "checkpoints" / name) for run in (found, expected))
        for state in ("state_dict", "current_model_state"):
            assert one[state].keys() == two[state].keys()
            assert all(torch.equal(weight, two[state][key]) for key, weight in one[state].items()), (name, state)
        assert one["allinone"]["position"] == two["allinone"]["position"]


def test_a_run_that_is_killed_again_and_again_ends_as_if_nothing_had_happened(arguments, straight, tmp_path):
    position = read_checkpoint(step_checkpoints(run_folder(straight) / "checkpoints")[0])["allinone"]["position"]
    assert position["epoch"] >= 1, "the run must cross the end of an epoch"
    at_epoch_end = position["epoch_start"] + position["epoch_start"] % 2  # that step, or the one after it
    deaths = [
        Death(5),  # in mid-epoch, between two checkpoints
        Death(7, validating=True),
        Death(9, by=signal.SIGTERM),
        Death(at_epoch_end),
        Death(14, by=signal.SIGTERM, validating=True),
        Death(MAX_STEPS, validating=True),
    ]
    for death in sorted(deaths, key=lambda death: death.step):
        status = run(tmp_path, [*arguments, "resume=true"], death)
        assert status == (143 if death.by == signal.SIGTERM else -death.by), (tmp_path / "log").read_text()
        if death.by == signal.SIGTERM:
            newest = step_checkpoints(run_folder(tmp_path) / "checkpoints")[0]
            assert newest.name == f"step-{death.step:09d}.ckpt"
    assert run(tmp_path, [*arguments, "resume=true"]) == 0, (tmp_path / "log").read_text()
    assert_same(tmp_path, straight, unlogged=[at_epoch_end, 14])


def test_a_run_killed_from_outside_with_its_newest_checkpoint_torn_ends_as_if_nothing_had_happened(
    arguments, straight, tmp_path
):
    process = start(tmp_path, arguments)
    wanted = random.randrange(2, MAX_STEPS - 4)
    while process.exitcode is None:
        done = sorted(tmp_path.rglob("step-*.ckpt"))
        if len(done) == 2 and int(done[-1].stem.removeprefix("step-")) >= wanted:
            time.sleep(random.uniform(0, 0.1))
            break
        time.sleep(0.005)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    newest, before = step_checkpoints(run_folder(tmp_path) / "checkpoints")
    newest.write_bytes(newest.read_bytes()[:-1000])
    assert run(tmp_path, [*arguments, f"resume={run_folder(tmp_path)}"]) == 0, (tmp_path / "log").read_text()
    log = (tmp_path / "log").read_text()
    assert f"found {newest}, which cannot be read" in log
    assert "Trying the one before." in log
    assert f"Continuing from {before}" in log
    assert_same(tmp_path, straight, unlogged=range(MAX_STEPS))  # whatever it had not logged


def test_a_run_with_batch_norm_that_is_killed_ends_as_if_nothing_had_happened(arguments, tmp_path):
    """Killed before and in a validation, which recalibrates averaged weights and forgets the statistics."""
    ctc = [argument for argument in arguments if not argument.startswith(("attention=", "objective."))]
    settings = [*ctc, "network.convolution_norm=batch"]
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    for folder in (straight, killed):
        folder.mkdir()
    assert run(straight, settings) == 0, (straight / "log").read_text()
    for death in (Death(5), Death(7, validating=True), Death(14, by=signal.SIGTERM, validating=True)):
        assert run(killed, [*settings, "resume=true"], death) != 0
    assert run(killed, [*settings, "resume=true"]) == 0, (killed / "log").read_text()
    assert_same(killed, straight, unlogged=[14])
    one, two = (
        read_checkpoint(run_folder(folder) / "checkpoints" / "model.ckpt")["statistics"]
        for folder in (killed, straight)
    )
    assert one.keys() == two.keys()
    for member, buffers in one.items():
        assert all(torch.equal(buffer, two[member][name]) for name, buffer in buffers.items())


def test_a_run_without_a_ctc_output_that_is_killed_ends_as_if_nothing_had_happened(arguments, tmp_path):
    spelt = [argument for argument in arguments if not argument.startswith(("objective.", "trainer.max_steps="))]
    settings = [*spelt, "ctc=false", "objective.ctc_weight=0", "trainer.max_steps=9"]
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    for folder in (straight, killed):
        folder.mkdir()
    assert run(straight, settings) == 0, (straight / "log").read_text()
    assert run(killed, [*settings, "resume=true"], Death(5)) != 0
    assert run(killed, [*settings, "resume=true"]) == 0, (killed / "log").read_text()
    assert_same(killed, straight, max_steps=9)


def test_a_run_with_survival_levels_that_is_killed_ends_as_if_nothing_had_happened(arguments, tmp_path):
    """Killed where the checkpoint before holds levels that are kept, and where they are taken anew at once."""
    ctc = [argument for argument in arguments if not argument.startswith(("attention=", "objective."))]
    settings = [
        *ctc,
        "space.sparsities=[0.5,0.8]",
        "space.pattern={_target_: allinone.sparsity.Blocks}",
        "criterion=adam",
        "levels=every_k",
        "levels.every=2",
        "straight_through=sr_ste",
        "sampler.growth={_target_: allinone.subnet.CubicGrowth, interval: 1, updates: 6}",
        "adaptive_dropout=sparsity",
        "trainer.max_steps=10",
        "trainer.checkpoint_every_steps=3",
    ]
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    for folder in (straight, killed):
        folder.mkdir()
    assert run(straight, settings) == 0, (straight / "log").read_text()
    for death in (Death(5), Death(7), Death(7, validating=True)):
        assert run(killed, [*settings, "resume=true"], death) == -signal.SIGKILL, (killed / "log").read_text()
    assert run(killed, [*settings, "resume=true"]) == 0, (killed / "log").read_text()
    assert_same(killed, straight, max_steps=10)
    checkpoint = read_checkpoint(run_folder(killed) / "checkpoints" / f"step-{10:09d}.ckpt")
    assert_averages_have_the_levels(checkpoint)
    assert "-s56" in (killed / "steps").read_text()  # on the way to 80


def test_a_run_with_learned_scales_of_inputs_that_is_killed_ends_as_if_nothing_had_happened(arguments, tmp_path):
    """Averaged weights have averaged scales; what was heard before the first step is not heard again."""
    spelt = [argument for argument in arguments if not argument.startswith("trainer.max_steps=")]
    settings = [*spelt, "activations=static", "trainer.max_steps=6", "trainer.checkpoint_every_steps=2"]
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    for folder in (straight, killed):
        folder.mkdir()
    assert run(straight, settings) == 0, (straight / "log").read_text()
    assert run(killed, [*settings, "resume=true"], Death(3)) == -signal.SIGKILL, (killed / "log").read_text()
    assert run(killed, [*settings, "resume=true"]) == 0, (killed / "log").read_text()
    assert_same(killed, straight, max_steps=6)
    checkpoint = read_checkpoint(run_folder(killed) / "checkpoints" / f"step-{6:09d}.ckpt")
    raw, averaged = checkpoint["current_model_state"], checkpoint["state_dict"]
    ranges = [name for name in raw if "inputs.log_scales" in name]
    assert ranges
    assert sum(not torch.equal(raw[name], averaged[name]) for name in ranges) > len(ranges) / 2


def assert_averages_have_the_levels(checkpoint: dict[str, Any]) -> None:
    """Averaged weights are scored, and exported, with the levels that were trained: no whole number is a mean."""
    raw, averaged = checkpoint["current_model_state"], checkpoint["state_dict"]
    levels = [name for name in raw if ".levels." in name]
    assert levels
    assert all(torch.equal(raw[name], averaged[name]) for name in levels)
    assert not all(torch.equal(raw[name], averaged[name]) for name in raw)


def test_resuming_with_a_changed_setting_is_refused_with_both_values(arguments, straight, tmp_path):
    (tmp_path / "runs").symlink_to(straight / "runs")
    assert run(tmp_path, [*arguments, f"resume={run_folder(straight)}", "optimizer.lr=0.004", "seed=3"]) == 1
    log = (tmp_path / "log").read_text()
    assert "optimizer.lr: 0.005 before, 0.004 now" in log
    assert "seed: 0 before, 3 now" in log
    assert "Give the old values, or start a new run with resume=false." in log


def test_with_nothing_to_resume_a_new_run_starts_and_says_so(arguments, straight, tmp_path):
    (tmp_path / "runs").symlink_to(straight / "runs")  # a finished run is none to resume
    settings = [*arguments, "resume=true", "trainer.max_steps=1", "data.num_workers=0"]
    assert run(tmp_path, settings) == 0, (tmp_path / "log").read_text()
    assert "There is no unfinished run to resume: a new one starts." in (tmp_path / "log").read_text()
