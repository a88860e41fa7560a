"""Continuing a run: which settings may have changed since, and which may not."""

from collections.abc import Iterator, Mapping
from typing import Any

NEUTRAL = (  # settings that change no number of the training
    "resume",
    "data.cache",
    "data.num_workers",
    "data.prepare_workers",
    "data.eval_batch_seconds",
    "optimizer.sharded",
    "trainer.checkpoint_every_steps",
    "trainer.log_every_steps",
    "trainer.validate_every_steps",
)


def refuse_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuses to continue a run with settings that would alter its numbers.

    Args:
        before: the settings the run began with, nested.
        now: those it is asked to continue with.

    Raises:
        ValueError: naming each changed setting with both values.
    """
    old, new = dict(_flat(before)), dict(_flat(now))
    changed = [
        f"{key}: {old.get(key, 'not set')} before, {new.get(key, 'not set')} now"
        for key in sorted({*old, *new})
        if key not in NEUTRAL and key.partition(".")[0] != "logger" and old.get(key) != new.get(key)
    ]
    if changed:
        raise ValueError(
            "Resuming requires the settings that the run began with; found "
            + "; ".join(changed)
            + ". Give the old values, or start a new run with resume=false."
        )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
