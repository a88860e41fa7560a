"""The peak memory of a training step, measured in a process of its own."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from allinone.report.step_bench import StepBench
from allinone.report.step_cases import Kind

_STATUS = Path("/proc/self/status")


def peak_memory(bench: StepBench, kind: Kind) -> int | None:
    """The most memory that two steps needed: weights, gradients and activations, without interpreter and libraries.

    Args:
        bench: the network and where it computes.
        kind: of the step.

    Returns:
        Bytes; None on systems that do not tell (other than Linux, without a GPU).
    """
    context = multiprocessing.get_context("forkserver")  # fresh processes that find the libraries loaded
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(_peak, bench, kind, torch.get_num_threads()).result()


def _peak(bench: StepBench, kind: Kind, threads: int) -> int | None:
    torch.set_num_threads(threads)
    on_gpu = torch.device(bench.device).type == "cuda"
    if not on_gpu and not _STATUS.exists():
        return None
    before = 0 if on_gpu else _resident("VmRSS")
    step, module = bench.step(kind)
    for _ in range(2):
        module.zero_grad(set_to_none=True)
        step()
    bench.synchronise()
    return torch.cuda.max_memory_allocated() if on_gpu else _resident("VmHWM") - before


def _resident(kind: str) -> int:
    """Bytes of this process in memory: ``VmRSS`` now, ``VmHWM`` at the peak."""
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(lines[kind].split()[0]) * 1024
