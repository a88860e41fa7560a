"""Batch norm through the verbs: statistics come with model.ckpt, or from the corpus that a checkpoint names."""

import contextlib
import json
from pathlib import Path

import pytest
import torch

from allinone.cli.main import main
from allinone.data import write_synthetic_corpus
from allinone.export import Manifest
from allinone.training.checkpoints import read_checkpoint
from allinone.training.start import load_task
from tests.cli.conftest import TRAIN

DEEP = ["3-64-8bit", "3-64-4bit", "3-32-8bit", "3-32-4bit"]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """Those of a run with batch norm and averaged weights."""
    place = tmp_path_factory.mktemp("trained")
    settings = [f"data.corpus.table={corpus}", f"data.cache={corpus.parent / 'cache'}"]
    with contextlib.chdir(place):
        assert main([*TRAIN, *settings, "network.convolution_norm=batch", "trainer.ema_decay=0.9"]) == 0
        (folder,) = (place / "runs" / "tiny_synthetic").iterdir()
    return folder / "checkpoints"


def test_the_model_carries_the_statistics_of_all_members_measured_with_its_own_weights(call, here, checkpoints):
    statistics = read_checkpoint(checkpoints / "model.ckpt")["statistics"]
    names = {f"{depth}{name[1:]}" for name in DEEP for depth in (1, 2, 3)}
    assert statistics.keys() == names
    assert "statistics" not in read_checkpoint(checkpoints / "best.ckpt")
    task, about = load_task(checkpoints / "model.ckpt")
    del about["origin"]["data"]  # whoever takes a member of the model needs none
    bare = read_checkpoint(checkpoints / "model.ckpt")
    del bare["statistics"]
    torch.save(bare, here / "bare.ckpt")
    rows = [
        json.loads(call("evaluate", f"checkpoint={path}", "format=json", "device=cpu").out)
        for path in (checkpoints / "model.ckpt", here / "bare.ckpt")
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 8
    assert not any(task.encoder.lacks_statistics(member) for member in task.space.uniform_members())


def test_a_member_is_exported_without_data_from_the_model_and_with_it_from_any_checkpoint(call, here, checkpoints):
    model = read_checkpoint(checkpoints / "model.ckpt")
    model["allinone"]["origin"]["data"] = None
    torch.save(model, here / "model.ckpt")
    assert call("export", "checkpoint=model.ckpt", "subnet=2-32-4bit", "output=a").code == 0
    said = call("export", f"checkpoint={checkpoints / 'best.ckpt'}", "subnet=2-32-4bit", "output=b")
    assert said.code == 0
    assert "Recalibrating 1 members, of which the checkpoint has no statistics." in said.err
    for folder in (here / "a", here / "b"):
        manifest = Manifest.read(folder)
        assert "encoder.layers.1.convolution.norm.variance" in manifest.tensors
    del model["statistics"]
    torch.save(model, here / "model.ckpt")
    said = call("export", "checkpoint=model.ckpt", "subnet=2-32-4bit", "output=c")
    assert said.code == 1
    assert "requires the corpus that its network was trained on; found none named in the checkpoint" in said.err


def test_another_corpus_is_evaluated_with_statistics_of_the_one_that_was_trained_on(call, here, checkpoints, tmp_path):
    table = write_synthetic_corpus(tmp_path / "other", utterances=20, seed=3)
    other = ("data=table", f"data.corpus.table={table}", "data.max_bad_share=1", "subnets=smallest", "format=json")
    bare = read_checkpoint(checkpoints / "model.ckpt")
    del bare["statistics"]
    torch.save(bare, here / "bare.ckpt")
    rows = [
        json.loads(call("evaluate", f"checkpoint={path}", *other, "device=cpu").out)
        for path in (checkpoints / "model.ckpt", here / "bare.ckpt")
    ]
    assert rows[0] == rows[1]
