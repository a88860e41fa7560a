"""The LightningModule: accumulation, clipping and mixed precision."""

import warnings
from typing import Any

import lightning
import pytest
import torch
from torch.utils.data import DataLoader

from allinone.subnet import FixedSampler, SandwichSampler
from allinone.training import AdamW, Constant, Objective, OnePassModule
from tests.laws.examples import make_batch, make_task


def make_module(sampler: Any = SandwichSampler, **settings: Any) -> OnePassModule:
    task = make_task(bits=(4, 8))
    return OnePassModule(
        task=task,
        sampler=sampler(task.space),
        objective=Objective(),
        optimizer=AdamW(lr=1e-2),
        schedule=Constant(),
        max_steps=2,
        **settings,
    )


class Watch(lightning.Callback):
    """Keeps the norm of the gradient of every step, clipped if it is."""

    def __init__(self) -> None:
        self.norms: list[float] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        gradients = [parameter.grad for parameter in pl_module.parameters()]
        self.norms.append(float(torch.nn.utils.get_total_norm(gradients)))


def fit(module: OnePassModule, seeds: list[int], precision: Any = "32-true") -> list[float]:
    """Trains on a batch for each seed; gives the norms of the gradients that were stepped with."""
    watch = Watch()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*(does not have many workers|LeafSpec|no `val_dataloader`).*")
        lightning.Trainer(
            accelerator="cpu",
            precision=precision,
            max_epochs=1,
            limit_val_batches=0,
            callbacks=[watch],
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        ).fit(module, DataLoader([make_batch(seed=seed) for seed in seeds], batch_size=None))  # pyright: ignore
    return watch.norms


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped_at_every_precision(precision):
    unclipped = fit(make_module(gradient_clip=None), [0, 1], precision)
    clipped = fit(make_module(gradient_clip=0.01), [0, 1], precision)
    assert min(unclipped) > 0.02
    assert clipped == pytest.approx([0.01, 0.01], rel=1e-3)


def test_accumulated_batches_are_one_step_with_the_mean_of_their_gradients():
    (once,) = fit(make_module(FixedSampler, gradient_clip=None), [0])
    twice, other = fit(make_module(FixedSampler, gradient_clip=None, accumulate=2), [0, 0, 1, 1])
    assert twice == pytest.approx(once, rel=1e-3)  # the same batch twice: its own gradient
    assert other > 0
