"""The law of sharing out: an optimiser whose moments lie in several processes does what one in each of them does."""

from dataclasses import dataclass, replace

import pytest
import torch

from allinone.data import write_synthetic_corpus
from allinone.subnet import SearchSpace, SubnetConfig
from allinone.training import AdamW
from allinone.training.checkpoints import read_checkpoint
from allinone.training.sharding import shares
from tests.laws.examples import make_batch
from tests.laws.runs import Death, metrics, run, run_two, steps
from tests.laws.test_replicas import SECONDS, make_example, replicas, train

ADAMW = AdamW(lr=1e-3, scale_lr=1e-2, eps=1e-3)  # with a small eps a gradient of rounding errors is a whole step
MAX_STEPS = 6


@dataclass(frozen=True)
class Alternating:
    """A lone member in each step: the largest, which has eight bits, then one with four."""

    space: SearchSpace
    in_batch: bool = False

    @property
    def watched(self) -> tuple[SubnetConfig, ...]:
        return self.space.ends

    def members(self, step: int, rank: int) -> tuple[SubnetConfig, ...]:
        return (self.space.ends[step % 2],)


def test_two_ranks_that_share_out_the_moments_end_as_two_that_do_not_and_as_one(tmp_path):
    sampler = Alternating(make_example().space)
    first, second = replicas(tmp_path, sampler, replace(ADAMW, sharded=True))
    (tmp_path / "whole").mkdir()
    whole, _ = replicas(tmp_path / "whole", sampler, ADAMW)
    alone = train(make_batch(SECONDS), sampler, "auto", 1, replace(ADAMW, sharded=True))
    for name, weight in first["parameters"].items():
        assert torch.equal(weight, second["parameters"][name]), name
        assert torch.equal(weight, whole["parameters"][name]), name
        torch.testing.assert_close(weight, alone["parameters"][name], rtol=1e-4, atol=1e-6, msg=name)
    assert first["moments"] + second["moments"] == whole["moments"] == alone["moments"]
    assert abs(first["moments"] - second["moments"]) < 0.01 * whole["moments"]
    unused = {name: rows[1] for name, rows in first["before"].items() if "log_scales" in name}  # of eight bits
    assert unused
    assert all(torch.equal(row, first["parameters"][name][1]) for name, row in unused.items())
    fresh = dict(make_example().named_parameters())
    assert any(not torch.equal(row, fresh[name][1]) for name, row in unused.items())


@pytest.fixture(scope="module")
def arguments(tmp_path_factory) -> list[str]:
    table = write_synthetic_corpus(tmp_path_factory.mktemp("corpus"), utterances=24)
    return [
        "experiment=tiny_synthetic",
        f"data.corpus.table={table}",
        "data.cache=null",
        "data.batch_seconds=4",
        "data.num_buckets=2",
        "hydra.run.dir=run",
        "schedule=linear",
        f"trainer.max_steps={MAX_STEPS}",
        "trainer.ema_decay=0.9",
        "trainer.gradient_clip=0.5",
        "trainer.validate_every_steps=3",
        "trainer.checkpoint_every_steps=2",
        "trainer.accelerator=cpu",
        "trainer.activation_checkpointing=true",
    ]


def test_a_run_that_shares_out_the_moments_and_is_killed_ends_as_if_nothing_had_happened(arguments, tmp_path):
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    for folder in (straight, killed):
        folder.mkdir()
    sharded, resumed = [*arguments, "optimizer.sharded=true"], [*arguments, "resume=true"]
    assert run_two(straight, sharded) == [0, 0], (straight / "log").read_text()
    assert run_two(killed, sharded, Death(3)) == [-9, -9], (killed / "log").read_text()
    assert run(killed, resumed) == 1
    assert "trainer.devices: 2 before, 1 now" in (killed / "log").read_text()
    assert run_two(killed, [*resumed, "optimizer.sharded=true"], Death(5)) == [-9, -9], (killed / "log").read_text()
    assert run_two(killed, resumed) == [0, 0], (killed / "log").read_text()  # the same state, not shared out
    assert steps(killed) == steps(straight)
    assert metrics(killed / "run").items() <= metrics(straight / "run").items()
    one, two = (read_checkpoint(folder / f"run/checkpoints/step-{MAX_STEPS:09d}.ckpt") for folder in (killed, straight))
    for part in ("state_dict", "current_model_state"):
        assert one[part].keys() == two[part].keys()
        assert all(torch.equal(weight, two[part][name]) for name, weight in one[part].items()), part
    one, two = (checkpoint["optimizer_states"][0] for checkpoint in (one, two))
    assert one["state"].keys() == two["state"].keys()
    for index, state in one["state"].items():
        assert all(torch.equal(tensor, two["state"][index][name]) for name, tensor in state.items())
    assert [group["params"] for group in one["param_groups"]] == [group["params"] for group in two["param_groups"]]


def test_shares_are_even_and_some_may_be_empty():
    assert shares([5, 1, 9, 4], 2) == [1, 0, 0, 1]
    sizes = [1920 * 7680, 1920 * 1920, 1920] * 48
    loads = [0] * 8
    for size, owner in zip(sizes, shares(sizes, 8), strict=True):
        loads[owner] += size
    assert max(loads) < 1.01 * sum(sizes) / 8
    assert shares([3], 4) == [0]
