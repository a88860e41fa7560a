"""Progress of a training: a bar on a terminal, elsewhere a plain log line now and then."""

import logging
import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme

logger = logging.getLogger(__name__)


class ProgressBar(RichProgressBar):
    """Steps done and to go, the time left, losses and word error rates, in one line if the terminal is wide enough."""

    def __init__(self) -> None:
        super().__init__(theme=RichProgressBarTheme(metrics_text_delimiter="  ", metrics_format=".2f"))

    def get_metrics(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> dict[str, Any]:
        """What stands behind the bar."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return dict(metrics)

    def _get_train_description(self, current_epoch: int) -> str:
        return "training"


class ProgressLines(Callback):
    """Logs step, losses, latest error rates and the time left.

    Args:
        every_seconds: between lines.
    """

    def __init__(self, every_seconds: float = 30.0) -> None:
        self.every_seconds = every_seconds
        self._start = self._last = 0.0
        self._first_step = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begins to count."""
        self._start = self._last = time.monotonic()
        self._first_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A line, if it is time for one."""
        now = time.monotonic()
        max_steps = getattr(pl_module, "max_steps", 0)
        if now - self._last < self.every_seconds and trainer.global_step != max_steps:
            return
        self._last = now
        done = trainer.global_step - self._first_step
        left = (now - self._start) / max(1, done) * (max_steps - trainer.global_step)
        numbers = " ".join(f"{name} {float(value):.2f}" for name, value in sorted(trainer.progress_bar_metrics.items()))
        logger.info("step %d of %d, %s left: %s", trainer.global_step, max_steps, _duration(left), numbers)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
