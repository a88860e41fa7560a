"""Runs of `allinone train` in processes of their own, which are killed at chosen moments."""

import csv
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import MappingProxyType
from typing import Any

# The forked processes share the imports of one server, which take longer than the runs themselves.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["allinone.cli.train", "tests.laws.runs"])
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Death:
    """When a run kills itself.

    Args:
        step: optimiser steps done by then.
        by: the signal.
        validating: whether in the first batch of the validation after that step, or at the end of the step.
    """

    step: int
    by: signal.Signals = signal.SIGKILL
    validating: bool = False


def start(
    folder: Path, arguments: Sequence[str], death: Death | None = None, environment: Mapping[str, str] = NOTHING
) -> BaseProcess:
    """Starts `allinone train` in a working directory; what it tells goes to ``log`` there."""
    process = _CONTEXT.Process(target=_command, args=(folder, ["train", *arguments], death, dict(environment)))
    process.start()
    return process


def run(folder: Path, arguments: Sequence[str], death: Death | None = None) -> int:
    """The same to its end: the exit status, or minus the signal that killed it."""
    return _end([start(folder, arguments, death)])[0]


def run_two(folder: Path, arguments: Sequence[str], death: Death | None = None) -> list[int]:
    """The same with two processes, which die together."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"NODE_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    settings = [*arguments, "trainer.devices=2"]
    return _end([start(folder, settings, death, {**shared, "LOCAL_RANK": str(rank)}) for rank in range(2)])


def _end(processes: Sequence[BaseProcess]) -> list[int]:
    for process in processes:
        process.join(timeout=240)
    statuses = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    if None in statuses:
        raise AssertionError("the run hangs")
    return [status for status in statuses if status is not None]


def _command(folder: Path, arguments: Sequence[str], death: Death | None, environment: Mapping[str, str]) -> None:
    import torch

    from allinone.cli.main import main

    torch.set_num_threads(1)
    multiprocessing.set_start_method("fork", force=True)  # of the loader's workers, as in a process of its own
    os.environ |= environment
    os.chdir(folder)
    log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    _record_steps()
    if death is not None:
        _arrange(death)
    sys.exit(main(list(arguments)))


def _record_steps() -> None:
    """Writes a line for each step: its number, its utterances and its members."""
    from allinone.training.module import OnePassModule

    train = OnePassModule.training_step

    def recorded(self: OnePassModule, batch: Any, batch_idx: int) -> None:
        members = " ".join(member.name for member in self.sampler.members(batch_idx, 0))
        with Path(f"steps-{self.global_rank}" if self.global_rank else "steps").open("a", encoding="utf-8") as file:
            file.write(f"{batch_idx} {' '.join(batch.ids)} {batch.lengths.tolist()} {members}\n")
        train(self, batch, batch_idx)

    OnePassModule.training_step = recorded


def _arrange(death: Death) -> None:
    from allinone.training.checkpoints import Checkpoints

    hook = "on_validation_batch_start" if death.validating else "on_train_batch_end"
    act = getattr(Checkpoints, hook)

    def die(self: Checkpoints, trainer: Any, *rest: Any) -> None:
        act(self, trainer, *rest)  # which may write a checkpoint
        if trainer.global_step == death.step:
            os.kill(os.getpid(), death.by)

    setattr(Checkpoints, hook, die)


def steps(folder: Path) -> dict[int, str]:
    """What each step trained on; a step that was done twice was the same both times."""
    done: dict[int, str] = {}
    for line in (folder / "steps").read_text(encoding="utf-8").splitlines():
        number, what = line.split(" ", 1)
        assert done.setdefault(int(number), what) == what
    return done


def metrics(folder: Path) -> dict[tuple[int, str], str]:
    """Every logged number of a run by step and name; what was logged twice was the same both times."""
    logged: dict[tuple[int, str], str] = {}
    for file in sorted((folder / "logs").rglob("metrics.csv")):
        with file.open(encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                for name, value in row.items():
                    if value and name != "step":
                        assert logged.setdefault((int(row["step"]), name), value) == value
    return logged
