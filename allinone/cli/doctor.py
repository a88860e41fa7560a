"""`allinone doctor`: whether this machine is fit, and whether a training fits into it."""

from dataclasses import asdict
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.markup import escape
from rich.table import Table

from allinone.cli.devices import device
from allinone.cli.labels import known_labels
from allinone.cli.run_folder import RUNS
from allinone.cli.tables import check_format, console, show_json
from allinone.report.machine import Finding, examine
from allinone.text import CharTokenizer

MARKS = {"yes": "[green]fit[/]", "partly": "[yellow]partly[/]", "no": "[red]unfit[/]"}


def run(config: DictConfig) -> None:
    """Prints what was found; exit status 1 if something will fail."""
    check_format(config.format)
    where = device(config.device)
    folders = [RUNS, *([Path(config.data.cache)] if config.data.cache else [])]
    findings = list(examine(folders, where))
    fit = all(finding.fit != "no" for finding in findings)
    if findings[0].fit != "no" and HydraConfig.get().runtime.choices.get("experiment"):
        findings.extend(_memory(config, where, fit))
    if config.format == "json":
        show_json([asdict(finding) for finding in findings])
    else:
        _show(findings)
    if any(finding.fit == "no" for finding in findings):
        raise SystemExit(1)


def _memory(config: DictConfig, where: str, fit: bool) -> list[Finding]:
    from allinone.cli.bench_data import training_step  # needs versions that pair
    from allinone.report.largest_step import examine_memory, examine_plan
    from allinone.training import FitSettings

    step = training_step(config, known_labels(config) or CharTokenizer())
    settings: FitSettings = instantiate(config.trainer)
    batch = config.data.batch_seconds, config.data.max_seconds
    plan = examine_plan(step, settings, *batch)
    if plan.fit == "no" or not fit:
        return [plan]
    processes = settings.processes // settings.num_nodes if where == "cpu" else 1
    return [plan, examine_memory(step, *batch, processes)]


def _show(findings: list[Finding]) -> None:
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        table.add_row(MARKS[finding.fit], finding.topic, escape(finding.says))
    console().print(table)
