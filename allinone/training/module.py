"""The training loop's glue: a LightningModule that runs one-pass steps and scores members on the way."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import lightning
import torch
import torch.distributed
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from allinone.data.batch import Batch
from allinone.decoding import Greedy
from allinone.scoring import ErrorCounts
from allinone.subnet import Sampler
from allinone.tasks.description import describe
from allinone.tasks.evaluation import Evaluation
from allinone.tasks.recalibration import recalibrate
from allinone.tasks.speech import SpeechTask
from allinone.training.ledger import Ledger
from allinone.training.objective import Objective
from allinone.training.one_pass import Draw, assign, one_pass, touch_all
from allinone.training.optim import AdamW
from allinone.training.pruning import Prune, take_levels
from allinone.training.schedule import Schedule

_ENTRIES = 1000  # members of a space that has one in the ledger for each


class OnePassModule(lightning.LightningModule):
    """Trains a supernet.

    Args:
        task: the supernet.
        sampler: which members a step trains.
        objective: weights of their losses.
        optimizer: settings of the optimiser.
        schedule: of its learning rate.
        max_steps: optimiser steps of the run.
        gradient_clip: largest norm of the gradient; None does not clip.
        accumulate: batches per optimiser step.
        seed: of dropout.
        teacher: a trained supernet whose largest member teaches in place of the step's own; it stays as it is and is no
            part of the checkpoints.
        prune: when and by what the survival levels of a space with sparsities are taken; None leaves them as they are.
        origin: plain facts about the run (such as the hash of its data) that its checkpoints carry along.

    Raises:
        ValueError: if the objective asks for an output that the supernet has not, or pruning for what a training lacks.
    """

    def __init__(
        self,
        *,
        task: SpeechTask,
        sampler: Sampler,
        objective: Objective,
        optimizer: AdamW,
        schedule: Schedule,
        max_steps: int,
        gradient_clip: float | None = 5.0,
        accumulate: int = 1,
        seed: int = 0,
        teacher: SpeechTask | None = None,
        prune: Prune | None = None,
        origin: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        objective.refuse_misfit(task.ctc)
        if prune is not None:
            prune.refuse_misfit(optimizer, max_steps)
        self.automatic_optimization = False
        self.task, self.sampler, self.objective = task, sampler, objective
        self.settings, self.schedule, self.max_steps = optimizer, schedule, max_steps
        self.gradient_clip, self.accumulate, self.seed = gradient_clip, accumulate, seed
        self.prune, self.origin = prune, origin or {}
        self._teacher = () if teacher is None else (teacher.eval().requires_grad_(False),)  # in a tuple: no submodule
        self.ledger = Ledger(task.space.largest.name)
        few = task.space.uniform_members() if task.space.all_uniform and task.space.count() <= _ENTRIES else ()
        told = (*task.space.ends, *sampler.watched, *few)
        self._parts = {"shared", "teacher", *(member.name for member in told)}
        self.evaluations: list[Evaluation] = []

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW and its schedule."""
        optimizer = self.settings.build(self.task)

        def factor(step: int) -> float:
            return self.schedule.factor(step, self.max_steps)

        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, factor)}

    def on_fit_start(self) -> None:
        """Brings the teacher along, and lets the ledger wait for a GPU: its work is counted where it is done."""
        for teacher in self._teacher:
            teacher.to(self.device)
        if self.device.type == "cuda":
            self.ledger.synchronise = torch.cuda.synchronize

    def on_train_start(self) -> None:
        """Lets DDP put its buckets in the gradients' place, and into their final order: every step adds alike then."""
        if self.trainer.world_size > 1:
            self.manual_backward(touch_all(self.task.parameters()))

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One batch; every ``accumulate`` batches one step of the optimiser."""
        step = batch_idx
        if self.prune is not None and step % self.accumulate == 0 and self.prune.schedule.due(step // self.accumulate):
            self._take_levels(self.prune)
        members = self.sampler.members(step, self.global_rank)
        last = (batch_idx + 1) % self.accumulate == 0
        with self._unsynchronised():
            losses = one_pass(
                self.task,
                batch,
                assign(batch, members, self.sampler.in_batch, step),
                self.objective,
                scale=self._scale(len(batch)),
                backward=self.manual_backward,
                draw=Draw(self.seed, step, self.global_rank),
                teacher=self._teacher[0] if self._teacher else None,
                begin=self._begin,
            )
        self.ledger.begin("optimizer")
        if last:
            self.manual_backward(touch_all(self.task.parameters()))
            self._update()
        self.ledger.end()
        self._report(losses)

    def _take_levels(self, prune: Prune) -> None:
        """Decides anew which weights sparse members lack."""
        self.ledger.begin("levels")
        take_levels(
            self.task,
            prune.criterion,
            optimizer=cast(Any, self.optimizers()).optimizer,
            batches=cast(Any, self.trainer).datamodule.calibration_loader() if prune.criterion.batches else (),
            objective=self.objective,
        )

    def _begin(self, part: str, audio_seconds: float) -> None:
        """Tells the ledger; members of a space of too many, and those whose sparsity still grows, are one entry."""
        self.ledger.begin(part if part in self._parts else "others", audio_seconds)

    def _update(self) -> None:
        optimizer = cast(torch.optim.Optimizer, self.optimizers())
        if self.gradient_clip is not None:
            scaler = getattr(self.trainer.precision_plugin, "scaler", None)  # of 16-mixed
            if scaler is not None:
                scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(self.task.parameters(), self.gradient_clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=self.trainer.world_size == 1)  # of several they are DDP's buckets, and stay
        cast(torch.optim.lr_scheduler.LambdaLR, self.lr_schedulers()).step()

    def _unsynchronised(self) -> AbstractContextManager[Any]:
        model = self.trainer.strategy.model
        return cast(Any, model).no_sync() if hasattr(model, "no_sync") else nullcontext()

    def _scale(self, utterances: int) -> float:
        """1 / utterances of all ranks and accumulated batches, times the ranks that the strategy will divide by."""
        world_size = self.trainer.world_size
        if world_size > 1:
            count = torch.tensor(float(utterances), device=self.device)
            torch.distributed.all_reduce(count)
            utterances = int(count)
        return world_size / (utterances * self.accumulate)

    def _report(self, losses: dict[str, Tensor]) -> None:
        rate = cast(torch.optim.Optimizer, self.optimizers()).param_groups[0]["lr"]
        self.log("lr", rate)
        for member in self.sampler.watched:
            if member.name in losses:
                self.log(f"loss/{member.name}", losses[member.name], prog_bar=True)

    def on_validation_epoch_start(self) -> None:
        """Begins to count errors, with statistics of the weights that are scored: averaged ones, where they are."""
        if self.task.encoder.needs_statistics:
            batches = cast(Any, self.trainer).datamodule.calibration_loader()
            recalibrate(self.task, batches, self.sampler.watched, device=self.device)
        self.evaluations = [Evaluation(member) for member in self.sampler.watched]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Counts the word and character errors of the watched members, decoded greedily."""
        shared = self.task.shared(batch.waveforms, batch.lengths)
        decode = Greedy().build(self.task.tokenizer)
        for evaluation in self.evaluations:
            evaluation.add(self.task, shared, batch, decode, cast(Any, self.trainer).datamodule.scoring)

    def on_validation_epoch_end(self) -> None:
        """Logs the error rates, and forgets the statistics, which will not fit the next step's weights."""
        self.task.encoder.statistics = {}
        rates = {}
        for evaluation in self.evaluations:
            for kind, counts in (("wer", evaluation.words), ("cer", evaluation.characters)):
                total = _over_ranks(counts, self.trainer.world_size, self.device)
                rates[f"dev/{kind}/{evaluation.member.name}"] = total.rate
        mean = sum(rate for name, rate in rates.items() if "/wer/" in name) / len(self.evaluations)
        for name, rate in rates.items():
            self.log(name, rate, prog_bar="/wer/" in name, sync_dist=True)  # equal on all ranks
        self.log("dev/wer", mean, sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what rebuilds the network, and the ledger; plain values only, so that nothing needs unpickling."""
        task = self.task
        checkpoint["allinone"] = {
            "layout": describe(task.layout),
            "attention": describe(task.attention),
            "ctc": task.ctc,
            "space": describe(task.space),
            "tokenizer": describe(task.tokenizer),
            "quantizer": describe(task.quantizer),
            "activations": describe(task.activations),
            "features": describe(task.features.settings),
            "origin": self.origin,
            "position": cast(Any, self.trainer).datamodule.state(self.trainer.global_step * self.accumulate),
            "ledger": self.ledger.summary()["parts"],
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continues the ledger."""
        self.ledger.entries = checkpoint["allinone"]["ledger"]


def _over_ranks(count: ErrorCounts, world_size: int, device: torch.device) -> ErrorCounts:
    if world_size == 1:
        return count
    numbers = torch.tensor(
        [count.substitutions, count.deletions, count.insertions, count.words], dtype=torch.long, device=device
    )
    torch.distributed.all_reduce(numbers)
    return ErrorCounts(*numbers.tolist())
