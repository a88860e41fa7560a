"""Whether the largest step of a training fits into memory: computed beforehand, then tried."""

import torch

from allinone.report.machine import Finding, gigabytes
from allinone.report.memory import available_memory, peak_of_training
from allinone.report.memory_plan import plan_memory
from allinone.report.training_step import TrainingStep
from allinone.training import FitSettings

_MARGIN = 0.9  # of the memory that is free


def examine_plan(step: TrainingStep, settings: FitSettings, batch_seconds: float, max_seconds: float) -> Finding:
    """Computes what each device of a training needs, without allocating it, and says whether that can fit.

    Args:
        step: what is trained, and how.
        settings: how the run is carried out.
        batch_seconds: of audio in a batch at most.
        max_seconds: of an utterance at most.
    """
    topic = "memory, computed"
    plan = plan_memory(step, settings, *_batch(batch_seconds, max_seconds))
    free = available_memory(step.device)
    together = settings.processes // settings.num_nodes if torch.device(step.device).type == "cpu" else 1
    each = f"each of {settings.processes} devices" if settings.processes > 1 else "the device"
    says = f"A step with {batch_seconds:g} s of audio asks {each} for {plan}"
    if free is None or plan.total * together <= free:
        return Finding(topic, "yes", f"{says}.")
    changes = [
        f"{setting} ({what})"
        for setting, what, is_set in (
            ("optimizer.sharded=true", "with several devices", step.optimizer.sharded),
            ("trainer.activation_checkpointing=true", "a forward pass more", step.recompute),
            ("trainer.ema_decay=null", "no average", settings.ema_decay is None),
        )
        if not is_set
    ]
    changes += ["a smaller data.batch_seconds with a larger trainer.accumulate"]
    if step.optimizer.sharded:
        changes += ["more trainer.devices"]
    where = "here" if together == 1 else f"here for {together} of them"
    return Finding(topic, "no", f"{says}; {gigabytes(free)} are free {where}. What helps: {', '.join(changes)}.")


def _batch(batch_seconds: float, max_seconds: float) -> tuple[int, float]:
    """Utterances of the largest batch, and their seconds."""
    utterances = max(4, round(batch_seconds / max_seconds))
    return utterances, batch_seconds / utterances


def examine_memory(step: TrainingStep, batch_seconds: float, max_seconds: float, processes: int) -> Finding:
    """Runs the largest batch of a training through its step twice, and says whether that fits.

    A quarter of the batch goes first: if that needs so much that the whole cannot fit, the whole is not tried.

    Args:
        step: what is trained, and how.
        batch_seconds: of audio in a batch at most.
        max_seconds: of an utterance at most.
        processes: how many share the memory of this machine's processor, or 1 on a GPU.
    """
    topic = "memory"
    free = available_memory(step.device)
    utterances, seconds = _batch(batch_seconds, max_seconds)
    what = f"A step with {utterances} utterances of {seconds:.1f} s"
    advice = "lower data.batch_seconds or data.max_seconds, or give trainer.activation_checkpointing=true"
    try:
        quarter = peak_of_training(step, max(1, utterances // 4), seconds)
        if quarter is None or free is None:
            return Finding(topic, "partly", "This system does not tell how much memory is free or was used.")
        if quarter * processes > free:
            found = f"needs more than {gigabytes(quarter)} in each of {processes} processes"
            return Finding(topic, "no", f"{what} {found}, and {gigabytes(free)} are free; {advice}.")
        peak = peak_of_training(step, utterances, seconds)
        assert peak is not None
    except MemoryError:
        return Finding(topic, "no", f"{what} ran out of memory; {advice}.")
    found = f"needs {gigabytes(peak)}" + (f" in each of {processes} processes" if processes > 1 else "")
    if peak * processes > _MARGIN * free:
        return Finding(topic, "no", f"{what} {found}, and {gigabytes(free)} are free; {advice}.")
    return Finding(topic, "yes", f"{what} {found}; {gigabytes(free)} are free.")
