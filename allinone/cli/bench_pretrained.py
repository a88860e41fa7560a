"""`allinone bench pretrained`: what it costs to start from a pretrained directory."""

import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console

from allinone.cli.tables import Column, check_format, show_json, show_table
from allinone.models.huggingface import pretrained_layout
from allinone.report.machine import lacks
from allinone.report.pretrained_bench import PretrainedBench
from allinone.report.random_directory import write_random

COLUMNS = (
    Column("import", "import"),
    Column("wall\nseconds", "wall_seconds", "{:.2f}"),
    Column("process\nseconds", "process_seconds", "{:.2f}"),
    Column("wall\nratio", "wall_ratio", "{}"),
    Column("process\nratio", "process_ratio", "{}"),
    Column("memory\nMB", "peak_memory", "{}"),
    Column("memory\nratio", "memory_ratio", "{}"),
)

logger = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Prints one row for us, and two for `transformers`."""
    check_format(config.format)
    if missing := lacks("huggingface"):
        logger.info(missing)
    if config.init is not None:
        _measure(config, Path(config.init), config.init)
        return
    layout = instantiate(config.network)
    with TemporaryDirectory() as folder:
        write_random(layout, Path(folder), config.seed)
        _measure(config, Path(folder), "random weights")


def _measure(config: DictConfig, folder: Path, what: str) -> None:
    layout = pretrained_layout(folder)
    bench = PretrainedBench(folder, instantiate(config.quantizer))
    with Console(file=sys.stderr).status("measuring") as status:
        rows = [cost.to_dict() for cost in bench.measure(config.rounds, status.update)]
    if config.format == "json":
        show_json(rows)
        return
    size = f"{rows[0]['weights_bytes'] / 1e6:.0f} MB of weights"
    network = f"{layout.family} of {layout.num_layers} layers, {size} ({what})"
    caption = f"{network}, medians of {config.rounds} rounds, {torch.get_num_threads()} threads"
    shown = {"wall_ratio": 1.0, "process_ratio": 1.0, "memory_ratio": 1.0, "peak_memory": 1e6}
    for row in rows:
        row |= {key: "-" if row[key] is None else f"{row[key] / unit:.2f}" for key, unit in shown.items()}
    show_table(COLUMNS, rows, caption)
