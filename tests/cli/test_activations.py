"""Rounded inputs through the verbs: trained, evaluated, exported, heard, and the start of other runs."""

import json

import pytest
import torch

from allinone.export import Manifest
from allinone.training.checkpoints import read_checkpoint
from allinone.training.start import load_task
from tests.cli.conftest import TRAIN, Trained, train

MEMBER = "2-32-4bit"


@pytest.fixture(scope="module")
def rounded(tmp_path_factory: pytest.TempPathFactory, corpus, trained) -> Trained:
    """A run with static scales that starts from one without."""
    settings = ("activations=static", f"init={trained.checkpoint}", "trainer.max_steps=2")
    return train(tmp_path_factory.mktemp("rounded"), corpus, *settings)


def test_a_run_begins_with_the_weights_and_scales_of_one_without_and_learns_ranges(rounded, trained):
    before, after = (read_checkpoint(run.checkpoint)["state_dict"] for run in (trained, rounded))
    ranges = {name: weight for name, weight in after.items() if "inputs.log_scales" in name}
    assert before.keys() == after.keys() - ranges.keys()
    assert len(ranges) == 3 * 10
    assert all(weight.isfinite().all() for weight in ranges.values())
    learned = [name for name in before if "log_scales" in name]
    moved = max(float((before[name] - after[name]).abs().max()) for name in learned)
    assert 0 < moved < 0.01  # two steps away from those that were taken over


def test_a_member_is_evaluated_and_transcribes_with_them(call, here, rounded, corpus):
    said = call("evaluate", f"checkpoint={rounded.checkpoint}", f"subnets={MEMBER}", "format=json", "device=cpu")
    (row,) = json.loads(said.out)
    assert call("export", f"checkpoint={rounded.checkpoint}", f"subnet={MEMBER}", "output=small").code == 0
    manifest = Manifest.read(here / "small")
    assert manifest.bytes_stored == row["bytes_stored"]
    listed = json.loads(call("subnets", "experiment=tiny_synthetic", "activations=static", "format=json").out)
    assert {each["name"]: each["bytes_stored"] for each in listed}[MEMBER] == manifest.bytes_stored
    plain = json.loads(call("subnets", "experiment=tiny_synthetic", "activations=dynamic", "format=json").out)
    assert {each["name"]: each["bytes_stored"] for each in plain}[MEMBER] == manifest.bytes_stored - 4 * 20
    recording = min((corpus.parent / "audio").glob("*.wav"))
    assert call("transcribe", "model=small", f"audio={recording}").code == 0


@pytest.mark.parametrize("start", ["checkpoint", "member"])
def test_another_run_keeps_the_ranges_that_were_learned(call, here, rounded, corpus, start):
    source = rounded.checkpoint
    if start == "member":
        source = here / "small"
        assert call("export", f"checkpoint={rounded.checkpoint}", "subnet=3-64-8bit", f"output={source}").code == 0
    settings = (f"data.corpus.table={corpus}", f"data.cache={corpus.parent / 'cache'}", "hydra.run.dir=run")
    still = ("optimizer.lr=0", "optimizer.scale_lr=0", "trainer.max_steps=1", "trainer.validate_every_steps=1")
    said = call(*TRAIN, *settings, *still, "activations=static", f"init={source}")
    assert said.code == 0, said.err
    tasks = [load_task(path)[0] for path in (rounded.checkpoint, here / "run/checkpoints/model.ckpt")]
    for (_, one), (_, two) in zip(*(task.parts() for task in tasks), strict=True):
        for (name, scale), (_, other) in zip(one.inputs.stored(), two.inputs.stored(), strict=True):
            torch.testing.assert_close(scale, other, msg=name)
