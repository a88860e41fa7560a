"""Time and peak memory of work, measured in a process of its own."""

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import torch

from allinone.report.interleaved import Timing
from allinone.report.noise import noise_batch
from allinone.report.step_bench import StepBench
from allinone.report.step_cases import Kind
from allinone.report.training_step import TrainingStep

_STATUS, _SYSTEM = Path("/proc/self/status"), Path("/proc/meminfo")


@dataclass(frozen=True)
class Spent:
    """What some work took.

    Args:
        timing: its seconds.
        peak: the most memory it needed, without interpreter and libraries, in bytes; None on systems that do not tell
            (other than Linux, without a GPU).
    """

    timing: Timing
    peak: int | None


def peak_memory(bench: StepBench, kind: Kind) -> int | None:
    """The most memory that two of the steps that :class:`StepBench` times needed; as :func:`peak_of_training`."""
    return in_fresh_process(_bench, bench, kind, device=bench.device).peak


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
    return in_fresh_process(_train, step, utterances, seconds, device=step.device).peak


def available_memory(device: str) -> int | None:
    """Bytes that are free on a device now; None if the system does not tell."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0] if torch.cuda.is_available() else None
    return _bytes(_SYSTEM, "MemAvailable") if _SYSTEM.exists() else None


def in_fresh_process(
    work: Callable[..., object],
    *settings: object,
    device: str = "cpu",
    ready: Callable[..., object] | None = None,
) -> Spent:
    """Does some work in a new process that has loaded the libraries, with as many threads as this one.

    Memory on the processor is what the process holds, pages of mapped files included.

    Args:
        work: what is measured: a function of some module.
        settings: its arguments.
        device: whose memory counts.
        ready: what is done with the same arguments before, unmeasured; None is nothing.

    Raises:
        MemoryError: if there is not enough.
    """
    context = multiprocessing.get_context("forkserver")  # fresh processes that find the libraries loaded
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(1, context) as pool:
        try:
            return pool.submit(_measure, work, settings, device, ready, torch.get_num_threads()).result()
        except (BrokenProcessPool, torch.OutOfMemoryError) as error:
            raise MemoryError("the process ran out of memory") from error


def _measure(
    work: Callable[..., object],
    settings: tuple[object, ...],
    device: str,
    ready: Callable[..., object] | None,
    threads: int,
) -> Spent:
    torch.set_num_threads(threads)
    if ready is not None:
        ready(*settings)
    on_gpu = torch.device(device).type == "cuda"
    tells = on_gpu or _STATUS.exists()
    before = _bytes(_STATUS, "VmRSS") if tells and not on_gpu else 0
    wall, process = time.perf_counter(), time.process_time()
    result = work(*settings)
    timing = Timing(time.perf_counter() - wall, time.process_time() - process)
    del result  # until here it was held
    if not tells:
        return Spent(timing, None)
    return Spent(timing, torch.cuda.max_memory_allocated() if on_gpu else _bytes(_STATUS, "VmHWM") - before)


def _bench(bench: StepBench, kind: Kind) -> None:
    step, module = bench.step(kind)
    for _ in range(2):
        module.zero_grad(set_to_none=True)
        step()


def _train(training: TrainingStep, utterances: int, seconds: float) -> None:
    step = training.build(training.task())
    batch = noise_batch(utterances, seconds, training.tokenizer.vocab_size)
    for _ in range(2):
        step(batch, 0)


def _bytes(file: Path, kind: str) -> int:
    """One of the sizes that Linux tells: of this process in memory, ``VmRSS`` now or ``VmHWM`` at its peak; or free."""
    lines = dict(line.split(":", 1) for line in file.read_text().splitlines())
    return int(lines[kind].split()[0]) * 1024
