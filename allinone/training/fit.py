"""A training run from start or checkpoint to end: the Trainer and what hangs on it."""

import logging
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy, Strategy
from lightning.pytorch.utilities.exceptions import SIGTERMException

from allinone.data.module import SpeechDataModule
from allinone.training.checkpoints import Checkpoints
from allinone.training.module import OnePassModule
from allinone.training.progress import ProgressBar, ProgressLines


@dataclass(frozen=True)
class FitSettings:
    """How a run is carried out.

    Args:
        max_steps: optimiser steps.
        gradient_clip: largest norm of the gradient; None does not clip.
        accumulate: batches per optimiser step.
        ema_decay: decay of the moving average of the weights, which is scored and kept beside the raw ones; None
            leaves it out.
        precision: of the arithmetic, as Lightning names it: 32-true, bf16-mixed, 16-mixed.
        compile_layers: whether each encoder layer is compiled; pays on a GPU.
        activation_checkpointing: whether each encoder layer is computed again in the backward pass instead of keeping
            what happened inside it: less memory for one more forward pass.
        accelerator: cpu, gpu or auto.
        devices: processes per machine; auto for all.
        num_nodes: machines.
        strategy: as Lightning names it; auto trains several processes by DDP, whose buffers are the gradients.
        validate_every_steps: optimiser steps between scorings on the dev set.
        validate_utterances: score on so many of its utterances alone, chosen by a hash of their ids; None: on all.
        checkpoint_every_steps: optimiser steps between checkpoints.
        log_every_steps: optimiser steps between log entries.
    """

    max_steps: int
    gradient_clip: float | None = 5.0
    accumulate: int = 1
    ema_decay: float | None = None
    precision: Any = "32-true"
    compile_layers: bool = False
    activation_checkpointing: bool = False
    accelerator: str = "auto"
    devices: Any = 1
    num_nodes: int = 1
    strategy: str = "auto"
    validate_every_steps: int = 500
    validate_utterances: int | None = None
    checkpoint_every_steps: int = 250
    log_every_steps: int = 10

    def __post_init__(self) -> None:
        counts = (self.max_steps, self.accumulate, self.validate_every_steps, self.checkpoint_every_steps)
        if min(counts) < 1:
            raise ValueError(
                "max_steps, accumulate, validate_every_steps and checkpoint_every_steps must be at least 1; found "
                f"{', '.join(map(str, counts))}. Give positive numbers."
            )
        if self.validate_utterances is not None and self.validate_utterances < 1:
            raise ValueError(
                f"validate_utterances must be at least 1; found {self.validate_utterances}. Leave it out to score on "
                "the whole dev set."
            )

    @property
    def processes(self) -> int:
        """How many processes train, on all machines."""
        devices: Any = self.devices
        if devices in ("auto", -1, "-1"):
            on_gpu = self.accelerator != "cpu" and torch.cuda.is_available()
            per_machine = torch.cuda.device_count() if on_gpu else 1
        elif isinstance(devices, int):
            per_machine = devices
        elif isinstance(devices, str) and devices.isdigit():
            per_machine = int(devices)
        else:  # their numbers
            numbers = devices.split(",") if isinstance(devices, str) else list(devices)
            per_machine = sum(number != "" for number in numbers)
        return per_machine * self.num_nodes

    def build_strategy(self) -> str | Strategy:
        """What Lightning is given for its strategy."""
        if self.strategy == "auto" and self.processes > 1:
            return DDPStrategy(gradient_as_bucket_view=True, broadcast_buffers=False)
        return self.strategy


def fit(
    module: OnePassModule,
    data: SpeechDataModule,
    settings: FitSettings,
    folder: Path,
    resume_from: Path | None = None,
    consumed: int = 0,
    logger: Logger | None = None,
) -> lightning.Trainer:
    """Trains to the end.

    Args:
        module: the supernet and how it learns.
        data: prepared and checked; set to the place of the checkpoint, if there is one.
        settings: how the run is carried out.
        folder: of the run: checkpoints and logs go below it.
        resume_from: checkpoint to continue from.
        consumed: batches consumed before it.
        logger: takes all metrics too, besides the CSV and TensorBoard files of the folder.
    """
    data.validated = settings.validate_utterances
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    module.task.encoder.recompute = settings.activation_checkpointing
    if settings.compile_layers:
        module.task.encoder.compile_layers()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # its notes on hardware and products
    progress: Callback = ProgressBar() if sys.stderr.isatty() and sys.stdout.isatty() else ProgressLines()
    callbacks: list[Callback] = [progress]
    if settings.ema_decay is not None:
        callbacks.append(EMAWeightAveraging(decay=settings.ema_decay, use_buffers=False))  # whole numbers are no mean
    callbacks.append(Checkpoints(folder / "checkpoints", settings.checkpoint_every_steps))
    version = f"from-step-{consumed // settings.accumulate}"
    loggers: list[Logger] = [
        CSVLogger(folder, name="logs", version=version),
        TensorBoardLogger(folder, name="tensorboard", version=version),
        *([] if logger is None else [logger]),
    ]
    batches = settings.max_steps * settings.accumulate
    trainer = lightning.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        strategy=settings.build_strategy(),
        precision=settings.precision,
        max_epochs=1,
        limit_train_batches=batches,
        val_check_interval=min(settings.validate_every_steps * settings.accumulate, batches),
        log_every_n_steps=min(settings.log_every_steps, batches),
        num_sanity_val_steps=0,
        callbacks=callbacks,
        logger=loggers,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=isinstance(progress, ProgressBar),
        use_distributed_sampler=False,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*LeafSpec.*")
        warnings.filterwarnings("ignore", ".*your dataloader is not resumable.*")  # it begins at the right batch
        try:
            trainer.fit(module, data, ckpt_path=resume_from, weights_only=True)
        except SIGTERMException:  # the caller sees from the trainer that it was told to stop
            trainer.fit_loop.teardown()  # in a validation Lightning leaves the loader's workers, which then never end
    return trainer
