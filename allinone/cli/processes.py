"""Several processes on one machine: Lightning starts the others anew with the arguments and the folder of the first."""

import logging
import os
import sys
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import read_write

_MULTIRUN = ("-m", "--multirun")


def prepare(command: list[str]) -> None:
    """Makes the present job startable by this process's argument list; quiets all but a machine's first process.

    Args:
        command: program, verb and arguments that this process was started with, perhaps for many jobs.
    """
    if not is_first():
        logging.getLogger("allinone").setLevel(logging.WARNING)
    hydra = HydraConfig.get()
    kept = [part for part in command if part not in _MULTIRUN and ("=" not in part or part.startswith("-"))]
    sys.argv = [*kept, *hydra.overrides.task]
    with read_write(cast(Any, hydra)):
        hydra.run.dir = hydra.runtime.output_dir  # also that of one job of a multirun


def is_first() -> bool:
    """Whether this is the process that writes for its machine."""
    return os.environ.get("LOCAL_RANK", "0") == "0"
