"""`allinone bench step`: what a training step costs, as ratios to a step of the largest network alone."""

import logging
import sys

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console

from allinone.cli.devices import device
from allinone.cli.labels import known_labels
from allinone.cli.tables import Column, check_format, show_json, show_table
from allinone.report.machine import lacks
from allinone.report.memory import peak_memory
from allinone.report.published_step import has_published
from allinone.report.step_bench import StepBench
from allinone.report.step_cases import Kind
from allinone.text import CharTokenizer

COLUMNS = (
    Column("step", "case"),
    Column("weights", "weights"),
    Column("front end", "front_end"),
    Column("process", "process_ratio", "{:.2f}"),
    Column("wall", "wall_ratio", "{:.2f}"),
    Column("memory", "memory_ratio", "{}"),
    Column("seconds", "wall_seconds", "{:.3f}"),
)


logger = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Prints one row for each kind of step."""
    check_format(config.format)
    bench = step_bench(config)
    if has_published(bench.layout) and (missing := lacks("huggingface")):
        logger.info(missing)
    console = Console(file=sys.stderr)
    with console.status("measuring") as status:

        def show(kind: Kind) -> None:
            status.update(", ".join(kind))

        rows = [cost.to_dict() for cost in bench.measure(config.rounds, show)]
        memory = []
        for kind in bench.kinds():
            status.update(f"memory of {kind.case}")
            memory.append(peak_memory(bench, kind))
    for row, peak in zip(rows, memory, strict=True):
        row["peak_memory"] = peak
        row["memory_ratio"] = None if peak is None or memory[0] is None else round(peak / memory[0], 2)
    if config.format == "json":
        show_json(rows)
    else:
        show_table(COLUMNS, rows, f"{caption(bench, config.rounds)}; ratios to the plain step")


def step_bench(config: DictConfig) -> StepBench:
    """What is measured, and how."""
    return StepBench(
        layout=instantiate(config.network),
        attention=instantiate(config.attention),
        ctc=config.ctc,
        space=instantiate(config.space),
        tokenizer=known_labels(config) or CharTokenizer(),
        quantizer=instantiate(config.quantizer),
        activations=instantiate(config.activations),
        features=instantiate(config.features),
        objective=instantiate(config.objective),
        utterances=config.utterances,
        seconds=config.seconds,
        precision=config.precision,
        compile=config.compile,
        device=device(config.device),
        seed=config.seed,
    )


def caption(bench: StepBench, rounds: int) -> str:
    """How a measurement was made."""
    threads = "" if bench.device.startswith("cuda") else f", {torch.get_num_threads()} threads"
    where = torch.cuda.get_device_name() if bench.device.startswith("cuda") else f"processor{threads}"
    compiled = ", compiled" if bench.compile else ""
    batch = f"{bench.utterances} utterances of {bench.seconds:g} s"
    return f"medians of {rounds} rounds, {batch}, {bench.precision}{compiled}, {where}"
