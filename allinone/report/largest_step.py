"""Whether the largest step of a training fits into memory."""

from allinone.report.machine import Finding, gigabytes
from allinone.report.memory import available_memory, peak_of_training
from allinone.report.training_step import TrainingStep

_MARGIN = 0.9  # of the memory that is free


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
    utterances = max(4, round(batch_seconds / max_seconds))
    seconds = batch_seconds / utterances
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
