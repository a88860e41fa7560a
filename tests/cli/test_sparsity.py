"""Sparse members through the verbs: trained, evaluated, exported, heard and started from; and what cannot be."""

import json
from itertools import product

import pytest
import torch

from allinone.export import Manifest, load
from allinone.sparsity import Blocks
from allinone.training.checkpoints import read_checkpoint
from allinone.training.start import load_task
from tests.cli.conftest import TRAIN, Trained, train
from tests.laws.test_resume import assert_averages_have_the_levels

BLOCKS = "space.pattern={_target_: allinone.sparsity.Blocks, rows: 8, columns: 1}"
SPARSE = ("space.sparsities=[0.5,0.8]", BLOCKS)
GROUPS = "space.pattern={_target_: allinone.sparsity.NOfM, size: 4}"


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory, corpus) -> Trained:
    """A run whose levels are taken anew at every update, with everything that hangs on sparsity."""
    return train(
        tmp_path_factory.mktemp("sparse"),
        corpus,
        *SPARSE,
        "criterion=adam",
        "levels=every_k",
        "levels.every=1",
        "straight_through=sr_ste",
        "adaptive_dropout=member_size_and_sparsity",
        "sampler.growth={_target_: allinone.subnet.CubicGrowth, interval: 1, updates: 2}",
        "trainer.ema_decay=0.9995",
    )


def test_averaged_weights_have_the_levels_that_were_trained(sparse):
    for file in sorted((sparse.folder / "checkpoints").glob("step-*.ckpt")):
        assert_averages_have_the_levels(read_checkpoint(file))
    trained = read_checkpoint(sparse.checkpoint)["state_dict"]
    assert {level.dtype for name, level in trained.items() if ".levels." in name} == {torch.uint8}


def test_what_a_run_cost_names_its_members_and_not_those_whose_sparsity_grew(sparse):
    parts = json.loads((sparse.folder / "cost.json").read_text())["parts"]
    assert {"3-64-8bit", "2-32-4bit-s80", "levels", "others", "shared"} <= set(parts)
    assert not any("-s70" in name for name in parts)  # 80 (1 - (1 / 2) ** 3)


def test_sparse_members_are_evaluated_under_their_names(call, here, sparse):
    said = call("evaluate", f"checkpoint={sparse.checkpoint}", "format=json", "device=cpu")
    rows = {row["name"]: row for row in json.loads(said.out)}
    sizes = product((3, 2), (64, 32), (8, 4), (50, 80))
    assert list(rows) == ["3-64-8bit", *(f"{depth}-{width}-{bits}bit-s{zeros}" for depth, width, bits, zeros in sizes)]
    sizes = [rows[name]["bytes_stored"] for name in ("3-64-8bit", "3-64-8bit-s50", "3-64-8bit-s80")]
    assert sizes == sorted(sizes, reverse=True)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, sparse):
    """The directory of an exported sparse member."""
    from allinone.cli.main import main

    folder = tmp_path_factory.mktemp("exported") / "small"
    assert main(["export", f"checkpoint={sparse.checkpoint}", "subnet=2-64-8bit-s80", f"output={folder}"]) == 0
    return folder


def test_a_sparse_member_is_exported_with_its_zeros_and_transcribes(call, here, sparse, small, corpus):
    manifest = Manifest.read(small)
    assert manifest.member == "2-64-8bit-s80"
    task, _ = load_task(sparse.checkpoint)
    kept = task.kept(task.space.parse("2-64-8bit-s80"))
    state = load(small).network.state_dict()
    assert kept
    for name, each in kept.items():
        assert each.pattern == Blocks(8, 1)
        assert not state[name][~each.mask].any()
        assert each.mask.float().mean() <= 0.2
    recording = min((corpus.parent / "audio").glob("*.wav"))
    said = call("transcribe", f"model={small}", f"audio={recording}")
    assert (said.code, said.err) == (0, "")


@pytest.mark.parametrize("zeros", [(), SPARSE], ids=["dense", "sparse"])
def test_another_family_starts_from_a_sparse_member(call, here, small, corpus, zeros):
    """A dense one has its zeros in place; a sparse one keeps, at that sparsity, what it kept."""
    sizes = (
        "space.depths=[2]",
        "space.widths=[64]",
        "space.bits=[8]",
        "optimizer.lr=1e-30",
        "optimizer.scale_lr=1e-30",
    )
    settings = (*sizes, *zeros, "trainer.max_steps=1", "hydra.run.dir=run", f"init={small}")
    said = call(*TRAIN, f"data.corpus.table={corpus}", f"data.cache={corpus.parent / 'cache'}", *settings)
    assert said.code == 0, said.err
    task, _ = load_task(here / "run/checkpoints/model.ckpt")
    weights, before = task.weights(task.space.largest), load(small).network.state_dict()
    name = "encoder.layers.0.feed_forward_1.up.weight"
    integers = weights[name].integers  # pyright: ignore[reportAttributeAccessIssue]
    assert torch.equal(integers == 0, before[name] == 0)
    if zeros:
        kept = task.kept(task.space.parse("2-64-8bit-s80"))[name].mask
        assert not before[name][~kept].any()
        assert before[name][kept].any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ("space.sparsities=[0.5]", BLOCKS.replace("8", "48")),
            "48x1 blocks do not divide 64 outputs and 32 inputs of encoder.layers.0.feed_forward_1.up.weight. Choose "
            "another (here blocks of 32 or 16 or 8 or 4 or 2 or 1 rows and 32",
        ),
        (
            ("space.sparsities=[0.5]",),
            "requires a pattern of zeros; found sparsities [0.5] and none. Add space.pattern",
        ),
        ((BLOCKS,), "requires sparsities; found Blocks(rows=8, columns=1) and none. Add space.sparsities, such as"),
        (("space.sparsities=[1.0]", BLOCKS), "a multiple of 0.005, from 0 to below 1; found 1.0. Give such"),
        (("space.sparsities=[-0.5]", BLOCKS), "a multiple of 0.005, from 0 to below 1; found -0.5. Give such"),
        (
            ("space.sparsities=[1.0]", GROUPS),
            "drop a whole number of every 4 weights, one or more, and keep some; found",
        ),
        (("space.sparsities=[0.6]", GROUPS), "found 0.6. Give one of 0.25, 0.5, 0.75, or leave the group out."),
        (("space.sparsities=[0.5]", GROUPS.replace("4", "17")), "whole number of 2 to 16 weights (M); found 17. Give"),
        ((*SPARSE, "criterion=adam"), "after the first update, when there are second moments; found OneShot()"),
        (
            (*SPARSE, "criterion=adam", "levels=every_k", "optimizer.sharded=true"),
            "The criterion Adam requires all second moments in every process; found optimizer.sharded=true",
        ),
        (
            (*SPARSE, "levels=every_k", "levels.every=4"),
            "taken within the training of 4 updates; found EveryK(every=4)",
        ),
        ((*SPARSE, "levels=every_k", "levels.every=0"), "1 or more; found every=0. Give such a number, as 256."),
        (
            (*SPARSE, "straight_through=sr_ste", "straight_through.decay=-1"),
            "must be a finite number, 0 or more; found",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_any_data_is_read(call, here, settings, message):
    said = call(*TRAIN, "data.corpus.table=no/lines.tsv", "hydra.run.dir=run", *settings)
    assert said.code == 1
    assert message in said.err
    assert "no/lines.tsv" not in said.err
    assert not (here / "run" / "checkpoints").exists()


@pytest.mark.parametrize(
    "verb", [("evaluate", "subnets=2-32-4bit-s50"), ("export", "output=o", "subnet=2-32-4bit-s50")]
)
def test_a_sparse_member_of_a_dense_family_is_refused(call, here, trained, verb):
    said = call(*verb, f"checkpoint={trained.checkpoint}")
    assert said.code == 1
    assert "the same in every layer, and no zeros, as this space has no sparsities; found '2-32-4bit-s50'" in said.err


def test_a_sparsity_that_was_not_trained_is_refused_with_the_nearest_names(call, here, sparse):
    said = call("export", f"checkpoint={sparse.checkpoint}", "output=small", "subnet=2-32-4bit-s60")
    assert said.code == 1
    assert "a sparsity of s50 or s80, the same in every layer, or is the largest, 3-64-8bit; found" in said.err
    assert "The nearest names are 2-32-4bit-s" in said.err
