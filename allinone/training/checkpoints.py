"""Checkpoints of a run: written now and then and when the process is told to stop, found again, and read safely."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from allinone.tasks.description import describe
from allinone.tasks.speech import SpeechTask

logger = logging.getLogger(__name__)

BEST = "best.ckpt"
MODEL = "model.ckpt"
STATISTICS = "statistics"  # of batch norms, by member
_STEP = "step-{:09d}.ckpt"


class Checkpoints(Callback):
    """Saves the state of a run.

    ``step-N.ckpt`` continues the run after step N; the newest two are kept, so that a torn file costs one interval.
    ``best.ckpt`` is the one with the lowest mean word error rate of the watched members on the dev set.

    Args:
        folder: where to.
        every_steps: optimiser steps between saves.
    """

    def __init__(self, folder: Path, every_steps: int) -> None:
        self.folder, self.every_steps = folder, every_steps
        self.best = float("inf")
        self._saved = -1

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Takes up a run that was stopped after its last step where it stood."""
        self._validate_at_the_end(trainer)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves every so many steps; where a validation follows, after it, so that it need not be repeated."""
        self._validate_at_the_end(trainer)
        validates = _consumed(trainer) % cast(int, trainer.val_check_batch) == 0
        if trainer.global_step % self.every_steps == 0 and not validates:
            self._save(trainer)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Saves the best, and the state after the validation."""
        rate = trainer.callback_metrics.get("dev/wer")
        if rate is not None and float(rate) < self.best:
            self.best = float(rate)
            trainer.save_checkpoint(self.folder / BEST, weights_only=False)
        self._save(trainer)

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Saves when the process was told to stop."""
        if not isinstance(exception, SIGTERMException):
            return
        if trainer.validating:
            for callback in cast(Any, trainer).callbacks:
                if isinstance(callback, WeightAveraging):  # it had lent the model its averaged weights
                    callback.on_validation_epoch_end(trainer, pl_module)
        self._save(trainer)

    def _save(self, trainer: lightning.Trainer) -> None:
        step = trainer.global_step
        accumulate = cast(Any, trainer.lightning_module).accumulate
        if step == self._saved or _consumed(trainer) != step * accumulate:  # gradients are not saved
            return
        self._saved = step
        trainer.save_checkpoint(self.folder / _STEP.format(step), weights_only=False)
        if trainer.is_global_zero:
            for old in step_checkpoints(self.folder)[2:]:
                old.unlink()

    def _validate_at_the_end(self, trainer: lightning.Trainer) -> None:
        if trainer.global_step == cast(Any, trainer.lightning_module).max_steps:
            trainer.val_check_batch = _consumed(trainer)

    def state_dict(self) -> dict[str, float]:
        """The best rate so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Continues with the best rate so far."""
        self.best = state_dict["best"]


def _consumed(trainer: lightning.Trainer) -> int:
    """Batches since the start of the training, the present one included."""
    return cast(Any, trainer).fit_loop.epoch_loop.batch_progress.current.processed


def step_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints that a run can continue from, newest first."""
    return sorted(folder.glob("step-*.ckpt"), reverse=True)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of ours, read without unpickling anything but tensors and plain values.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is torn, or not ours.
    """
    if not path.is_file():
        raise FileNotFoundError(f"A checkpoint file is required; found none at {path}. Give the path of a .ckpt file.")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a broken archive or a foreign pickle raises
        raise ValueError(
            f"A checkpoint must be a whole file that holds only tensors and plain values; found {path}, which cannot "
            f"be read ({type(error).__name__}). Use another checkpoint of the run."
        ) from error
    if not isinstance(checkpoint, dict) or "allinone" not in checkpoint:
        raise ValueError(
            f"A checkpoint written by `allinone train` is required; found {path}, which was written by something else. "
            "Give a .ckpt file from the `checkpoints` folder of a run."
        )
    return checkpoint


def about_network(task: SpeechTask) -> dict[str, Any]:
    """What rebuilds a supernet, as plain values."""
    return {
        "layout": describe(task.layout),
        "attention": describe(task.attention),
        "ctc": task.ctc,
        "space": describe(task.space),
        "tokenizer": describe(task.tokenizer),
        "quantizer": describe(task.quantizer),
        "activations": describe(task.activations),
        "features": describe(task.features.settings),
    }


def write_model(source: Path, target: Path) -> None:
    """Writes what is worth keeping of a checkpoint: matrices in half precision, no optimiser, no averaging state.

    Learned scales stay in float32, because they are logarithms and few.
    """
    checkpoint = read_checkpoint(source)
    state = {
        name: weight if "log_scales" in name or not weight.is_floating_point() else weight.half()
        for name, weight in checkpoint["state_dict"].items()
    }
    _write({"allinone": checkpoint["allinone"], "state_dict": state}, target)


def write_untrained(about: Mapping[str, Any], state: Mapping[str, Tensor], target: Path) -> None:
    """Writes a checkpoint of a network that nothing has trained, with matrices in half precision where none is lost.

    Args:
        about: what rebuilds the network, as a run's checkpoint has it.
        state: of the network.
        target: the file.
    """
    kept = {f"task.{name}": _without_loss(weight.detach()) for name, weight in state.items()}
    _write({"allinone": dict(about), "state_dict": kept}, target)


def _without_loss(weight: Tensor) -> Tensor:
    half = weight.half() if weight.is_floating_point() else weight
    return half.clone() if torch.equal(half.to(weight.dtype), weight) else weight.clone()


def add_statistics(path: Path, statistics: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Adds statistics of members to a checkpoint of the weights that they were measured with."""
    checkpoint = read_checkpoint(path)
    checkpoint[STATISTICS] = {
        member: {name: buffer.cpu() for name, buffer in buffers.items()} for member, buffers in statistics.items()
    }
    _write(checkpoint, path)


def _write(checkpoint: dict[str, Any], target: Path) -> None:
    partial = target.with_suffix(".partial")
    torch.save(checkpoint, partial)
    partial.replace(target)


def newest_readable(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The newest checkpoint of a run that can be read; torn ones are passed over with a warning.

    Raises:
        ValueError: if none can be read.
    """
    paths = step_checkpoints(folder)
    for path in paths:
        try:
            return path, read_checkpoint(path)
        except ValueError as error:
            logger.warning("%s Trying the one before.", error)
    raise ValueError(
        f"Resuming requires a readable checkpoint; found {len(paths)} in {folder}, none of which can be read. "
        "Start the run anew with resume=false."
    )
