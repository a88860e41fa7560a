"""The peak memory of a training step, measured in a process of its own."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import torch

from allinone.report.noise import noise_batch
from allinone.report.step_bench import StepBench
from allinone.report.step_cases import Kind
from allinone.report.training_step import TrainingStep

_STATUS, _SYSTEM = Path("/proc/self/status"), Path("/proc/meminfo")
Action = Callable[[], object]


def peak_memory(bench: StepBench, kind: Kind) -> int | None:
    """The most memory that two of the steps that :class:`StepBench` times needed; as :func:`peak_of_training`."""
    return _in_fresh_process(_bench, bench.device, bench, kind)


def peak_of_training(step: TrainingStep, utterances: int, seconds: float) -> int | None:
    """The most memory that two training steps on noise needed, without interpreter and libraries.

    Args:
        step: what is trained, and how.
        utterances: of the batch.
        seconds: of each utterance.

    Returns:
        Bytes of weights, gradients, state of the optimiser and activations; None on systems that do not tell (other
        than Linux, without a GPU).

    Raises:
        MemoryError: if there is not enough.
    """
    return _in_fresh_process(_train, step.device, step, utterances, seconds)


def available_memory(device: str) -> int | None:
    """Bytes that are free on a device now; None if the system does not tell."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0] if torch.cuda.is_available() else None
    return _bytes(_SYSTEM, "MemAvailable") if _SYSTEM.exists() else None


def _in_fresh_process(prepare: Callable[..., Action], device: str, *settings: object) -> int | None:
    context = multiprocessing.get_context("forkserver")  # fresh processes that find the libraries loaded
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(1, context) as pool:
        try:
            return pool.submit(_peak, prepare, device, torch.get_num_threads(), settings).result()
        except (BrokenProcessPool, torch.OutOfMemoryError) as error:
            raise MemoryError("the process ran out of memory") from error


def _peak(prepare: Callable[..., Action], device: str, threads: int, settings: tuple[object, ...]) -> int | None:
    torch.set_num_threads(threads)
    on_gpu = torch.device(device).type == "cuda"
    if not on_gpu and not _STATUS.exists():
        return None
    before = 0 if on_gpu else _bytes(_STATUS, "VmRSS")
    act = prepare(*settings)
    act()
    act()
    return torch.cuda.max_memory_allocated() if on_gpu else _bytes(_STATUS, "VmHWM") - before


def _bench(bench: StepBench, kind: Kind) -> Action:
    step, module = bench.step(kind)

    def act() -> None:
        module.zero_grad(set_to_none=True)
        step()

    return act


def _train(training: TrainingStep, utterances: int, seconds: float) -> Action:
    step = training.build(training.task())
    batch = noise_batch(utterances, seconds, training.tokenizer.vocab_size)
    return lambda: step(batch, 0)


def _bytes(file: Path, kind: str) -> int:
    """One of the sizes that Linux tells: of this process in memory, ``VmRSS`` now or ``VmHWM`` at its peak; or free."""
    lines = dict(line.split(":", 1) for line in file.read_text().splitlines())
    return int(lines[kind].split()[0]) * 1024
