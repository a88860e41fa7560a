"""Checkpoints of a run: written now and then and when the process is told to stop, found again, and read safely."""

import logging
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

logger = logging.getLogger(__name__)

BEST = "best.ckpt"
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

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Saves every so many steps, after the last one, and when the process was told to stop."""
        step = trainer.global_step
        due = step % self.every_steps == 0 or step == getattr(trainer.lightning_module, "max_steps", None)
        if step != self._saved and step > 0 and (due or trainer.received_sigterm):
            self._saved = step
            trainer.save_checkpoint(self.folder / _STEP.format(step))
            if trainer.is_global_zero:
                for old in step_checkpoints(self.folder)[2:]:
                    old.unlink()

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Saves the best."""
        rate = trainer.callback_metrics.get("dev/wer")
        if trainer.sanity_checking or rate is None or float(rate) >= self.best:
            return
        self.best = float(rate)
        trainer.save_checkpoint(self.folder / BEST)

    def state_dict(self) -> dict[str, float]:
        """The best rate so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Continues with the best rate so far."""
        self.best = state_dict["best"]


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
            f"A checkpoint must be a whole file that holds only tensors and plain values; found {path}, which cannot be "
            f"read ({type(error).__name__}). Use another checkpoint of the run."
        ) from error
    if not isinstance(checkpoint, dict) or "allinone" not in checkpoint:
        raise ValueError(
            f"A checkpoint written by `allinone train` is required; found {path}, which was written by something else. "
            "Give a .ckpt file from the `checkpoints` folder of a run."
        )
    return checkpoint


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
