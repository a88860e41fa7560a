"""`allinone bench masks`: what zeros cost in training, as ratios."""

import sys
from dataclasses import replace

from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console

from allinone.cli.bench_step import caption, step_bench
from allinone.cli.tables import Column, check_format, show_json, show_table
from allinone.report.mask_bench import MaskBench
from allinone.sparsity import Blocks

COLUMNS = (
    Column("what", "part"),
    Column("in", "unit"),
    Column("process", "process_ratio", "{:.3f}"),
    Column("wall", "wall_ratio", "{:.3f}"),
    Column("target", "target", "{:g}"),
    Column("seconds", "wall_seconds", "{:.3f}"),
)
SPARSITIES = (0.5, 0.6, 0.7, 0.8)  # Omni-sparsity's, section 3.1


def run(config: DictConfig) -> None:
    """Prints one row for each cost."""
    check_format(config.format)
    steps = step_bench(config)
    if not steps.space.sparsities:
        steps = replace(steps, space=replace(steps.space, sparsities=SPARSITIES, pattern=Blocks()))
    bench = MaskBench(
        steps=steps,
        criterion=instantiate(config.criterion),
        every=config.every,
        batches=config.batches,
    )
    with Console(file=sys.stderr).status("measuring") as status:
        costs = bench.measure(config.rounds, status.update)
    rows = [cost.to_dict() for cost in costs.rows]
    if config.format == "json":
        show_json({"costs": rows, "level_bytes": costs.level_bytes})
    else:
        levels = f"survival levels take {costs.level_bytes:g} byte for each weight that can be zero"
        show_table(COLUMNS, rows, f"{caption(bench.steps, config.rounds)}\n{levels}")
