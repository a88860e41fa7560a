"""The law of replicas: two ranks compute the gradients of one rank on the joined batch, and synchronise them once."""

import os
import socket
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
import torch.multiprocessing
from lightning.pytorch.strategies import DDPStrategy
from torch.distributed import GradBucket
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.utils.data import DataLoader

from allinone.data.batch import Batch
from allinone.quantization import AbsMax, StaticActivations
from allinone.sparsity import Adam, Blocks, EveryK, Taylor
from allinone.subnet import SandwichSampler, SearchSpace, SubnetConfig
from allinone.tasks.speech import SpeechTask
from allinone.training import AdamW, Constant, Objective, OnePassModule
from allinone.training.pruning import Prune
from tests.laws import runs
from tests.laws.examples import DECODER, learn, make_batch, make_task

assert runs  # its fork server has imported all that takes long

SECONDS = (1.1, 1.0, 0.9, 0.6, 0.5)
SPLIT = ([0, 1, 3], [2, 4])  # utterances of each rank: not equally many
STEPS = 2
ADAMW = AdamW(lr=1e-3)


class Recorder(lightning.Callback):
    """Keeps the gradients of each step and counts how often they are synchronised."""

    def __init__(self) -> None:
        self.gradients: list[list[torch.Tensor]] = []
        self.parameters: dict[str, torch.Tensor] = {}
        self.parameters_synchronised: list[int] = []

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.world_size > 1:
            model: Any = trainer.strategy.model
            model.register_comm_hook(self, _counted)

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.gradients.append([parameter.grad.clone() for parameter in pl_module.parameters()])
        self.parameters = {name: parameter.detach().clone() for name, parameter in pl_module.task.named_parameters()}


def _counted(recorder: Recorder, bucket: GradBucket) -> torch.futures.Future[torch.Tensor]:
    recorder.parameters_synchronised.append(len(bucket.parameters()))
    return allreduce_hook(None, bucket)  # pyright: ignore[reportArgumentType]


class Batches(lightning.LightningDataModule):
    """The same batch in every step."""

    def __init__(self, batch: Batch) -> None:
        super().__init__()
        self.batch = batch

    def train_dataloader(self) -> DataLoader[Batch]:
        return DataLoader([self.batch] * STEPS, batch_size=None)  # pyright: ignore[reportArgumentType]

    def calibration_loader(self) -> list[Batch]:
        """Other utterances on each rank, unlike those of a real corpus."""
        return [self.batch]


class Steps(OnePassModule):
    """Trains without validating."""

    validation_step = lightning.LightningModule.validation_step  # pyright: ignore


def make_example() -> SpeechTask:
    return make_task(bits=(4, 8), num_layers=3, front_end_bits=32, attention=DECODER, heads=(1, 2))


def make_sparse_example() -> SpeechTask:
    """With survival levels, of one bit-width less."""
    return make_task(bits=(8,), num_layers=3, pattern=Blocks(4, 1), sparsities=(0.5, 0.7))


def make_rounded_example() -> SpeechTask:
    """With scales of inputs that are stored."""
    return make_task(bits=(4, 8), num_layers=3, quantizer=AbsMax(), activations=StaticActivations())


def train(
    batch: Batch,
    sampler: Any,
    strategy: Any,
    devices: int,
    optimizer: AdamW = ADAMW,
    prune: Prune | None = None,
    make: Callable[[], SpeechTask] = make_example,
) -> dict[str, Any]:
    """Two steps; gives the gradients of each, the parameters before the last step and at the end, and more."""
    task, recorder = make() if prune is None else make_sparse_example(), Recorder()
    module = Steps(
        task=task,
        sampler=sampler,
        objective=Objective(),
        optimizer=optimizer,
        schedule=Constant(),
        max_steps=STEPS,
        prune=prune,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*(does not have many workers|LeafSpec|no `val_dataloader`|tree).*")
        trainer = lightning.Trainer(
            accelerator="cpu",
            devices=devices,
            strategy=strategy,
            max_epochs=1,
            callbacks=[recorder],
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            use_distributed_sampler=False,
        )
        trainer.fit(module, Batches(batch))
    return {
        "gradients": recorder.gradients,
        "parameters": {name: parameter.detach().clone() for name, parameter in task.named_parameters()},
        "before": recorder.parameters,
        "moments": sum(state["exp_avg"].numel() for state in trainer.optimizers[0].state.values()),
        "synchronised": recorder.parameters_synchronised,
        "levels": {name: buffer.clone() for name, buffer in task.named_buffers() if ".levels." in name},
    }


def replica(rank: int, folder: str, *training: Any) -> None:
    """One of two ranks."""
    torch.set_num_threads(1)
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": Path(folder, "port").read_text()}
    batch = make_batch(SECONDS).select(SPLIT[rank])
    strategy = DDPStrategy(process_group_backend="gloo", gradient_as_bucket_view=True)
    sampler, *rest = training
    torch.save(train(batch, sampler, strategy, 2, *rest), f"{folder}/{rank}.pt")


def replicas(
    folder: Path,
    sampler: Any,
    optimizer: AdamW = ADAMW,
    prune: Prune | None = None,
    make: Callable[[], SpeechTask] = make_example,
) -> list[dict[str, Any]]:
    """What each of two ranks trains."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        (folder / "port").write_text(str(free.getsockname()[1]))
    torch.multiprocessing.start_processes(
        replica, (str(folder), sampler, optimizer, prune, make), nprocs=2, start_method="forkserver"
    )
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def sampler(same: bool, space: SearchSpace) -> SandwichSampler:
    """One that draws other members on either rank in the first step, unless they are to be the same."""
    return SandwichSampler(
        space,
        num_random=1,
        same_on_all_ranks=same,
        seed=next(
            seed
            for seed in range(100)
            if SandwichSampler(space, 1, same_on_all_ranks=False, seed=seed).members(0, 0)
            != SandwichSampler(space, 1, same_on_all_ranks=False, seed=seed).members(0, 1)
        ),
    )


def expected_gradients(task: SpeechTask, members: list[tuple[SubnetConfig, ...]]) -> list[torch.Tensor]:
    """Eq. 4 on the joined batch: each member of a rank learns from the utterances of that rank."""
    joined = make_batch(SECONDS)
    loss, objective = torch.zeros(()), Objective()
    for rows, chosen in zip(SPLIT, members, strict=True):
        batch = joined.select(rows)
        teacher = learn(task, batch, task.space.largest)
        for member in chosen:
            weights = objective.weights(member, task.space.largest)
            output = learn(task, batch, member)
            losses = weights.loss * objective.losses(output, batch.labels, batch.label_lengths)
            loss = loss + (losses + weights.distillation * objective.divergences(output, teacher)).sum() / len(SECONDS)
    gradients = torch.autograd.grad(loss, list(task.parameters()), allow_unused=True, materialize_grads=True)
    norm = torch.nn.utils.get_total_norm(gradients)
    return [gradient * (5.0 / (norm + 1e-6)).clamp(max=1.0) for gradient in gradients]


@pytest.mark.parametrize("same", [True, False], ids=["equal members", "different members"])
def test_two_replicas_compute_the_gradients_of_one_rank_on_the_joined_batch(same, tmp_path):
    draws = sampler(same, make_example().space)
    first, second = replicas(tmp_path, draws)
    assert (draws.members(0, 0) == draws.members(0, 1)) == same
    expected = expected_gradients(make_example(), [draws.members(0, 0), draws.members(0, 1)])
    assert sum(bool(gradient.any()) for gradient in expected) > len(expected) / 2
    for one, two, wanted in zip(first["gradients"][0], second["gradients"][0], expected, strict=True):
        assert torch.equal(one, two)
        torch.testing.assert_close(one, wanted, rtol=1e-4, atol=1e-6)
    assert all(torch.equal(weight, second["parameters"][name]) for name, weight in first["parameters"].items())
    # every parameter once in each step, and once before them all
    assert sum(first["synchronised"]) == (1 + STEPS) * len(expected)
    assert first["synchronised"] == second["synchronised"]


def test_one_replica_computes_these_gradients_too():
    draws = sampler(True, make_example().space)
    one = train(make_batch(SECONDS), draws, "auto", 1)
    members = draws.members(0, 0)
    for gradient, wanted in zip(
        one["gradients"][0], expected_gradients(make_example(), [members, members]), strict=True
    ):
        torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("criterion", [Adam(), Taylor(1)], ids=str)
def test_two_replicas_with_different_sparse_members_end_with_equal_levels_and_parameters(criterion, tmp_path):
    """Also where each hears utterances of its own, by which alone their levels would differ."""
    draws = sampler(False, make_sparse_example().space)
    first, second = replicas(tmp_path, draws, prune=Prune(criterion, EveryK(1)))
    assert any(draws.members(0, 0)[index] != draws.members(0, 1)[index] for index in range(3))
    fresh = dict(make_sparse_example().named_buffers())
    assert any(not torch.equal(levels, fresh[name]) for name, levels in first["levels"].items())
    for part in ("levels", "parameters"):
        assert first[part].keys() == second[part].keys()
        assert all(torch.equal(tensor, second[part][name]) for name, tensor in first[part].items())


def test_two_replicas_learn_the_scales_of_inputs_that_one_rank_learns_from_the_joined_batch(tmp_path):
    """Of batches of different sizes; sums in another order move some inputs to the next integer."""
    draws = sampler(True, make_rounded_example().space)
    first, second = replicas(tmp_path, draws, make=make_rounded_example)
    assert all(torch.equal(weight, second["parameters"][name]) for name, weight in first["parameters"].items())
    one = train(make_batch(SECONDS), draws, "auto", 1, make=make_rounded_example)
    names = [name for name, _ in make_rounded_example().named_parameters()]
    ranges = [index for index, name in enumerate(names) if "inputs.log_scales" in name]
    assert len(ranges) == 3 * 10
    found, wanted = (torch.stack([run["gradients"][0][index] for index in ranges]) for run in (first, one))
    assert (wanted != 0).sum() > len(ranges) / 2
    assert (found - wanted).norm() < 0.02 * wanted.norm()
