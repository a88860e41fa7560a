"""`allinone doctor`: whether this machine is fit, and whether a training fits into it."""

from dataclasses import asdict
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.markup import escape
from rich.table import Table

from allinone.cli.devices import device
from allinone.cli.run_folder import RUNS
from allinone.cli.tables import check_format, console, show_json
from allinone.report.machine import Finding, examine
from allinone.text import CharTokenizer, Tokenizer

MARKS = {"yes": "[green]fit[/]", "partly": "[yellow]partly[/]", "no": "[red]unfit[/]"}


def run(config: DictConfig) -> None:
    """Prints what was found; exit status 1 if something will fail."""
    check_format(config.format)
    where = device(config.device)
    folders = [RUNS, *([Path(config.data.cache)] if config.data.cache else [])]
    findings = list(examine(folders, where))
    fit = all(finding.fit != "no" for finding in findings)
    if fit and HydraConfig.get().runtime.choices.get("experiment"):
        findings.append(_memory(config, where))
    if config.format == "json":
        show_json([asdict(finding) for finding in findings])
    else:
        _show(findings)
    if any(finding.fit == "no" for finding in findings):
        raise SystemExit(1)


def _memory(config: DictConfig, where: str) -> Finding:
    from allinone.cli.bench_data import training_step  # needs a machine that is fit
    from allinone.report.largest_step import examine_memory

    tokenizer = instantiate(config.tokenizer)
    step = training_step(config, tokenizer if isinstance(tokenizer, Tokenizer) else CharTokenizer())
    devices = config.trainer.devices
    processes = devices if where == "cpu" and isinstance(devices, int) else 1
    return examine_memory(step, config.data.batch_seconds, config.data.max_seconds, processes)


def _show(findings: list[Finding]) -> None:
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        table.add_row(MARKS[finding.fit], finding.topic, escape(finding.says))
    console().print(table)
