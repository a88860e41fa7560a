"""`allinone report`: the table of results of a family, with significance, for a RESULTS.md."""

import json
import shlex
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig

from allinone.cli.pages import check_page, show_page
from allinone.cli.run_folder import CHECKPOINTS, FINISHED
from allinone.report.results import Evaluated, Row, judge, table


def run(config: DictConfig) -> None:
    """Prints the table, or puts it into a document."""
    check_page(config)
    evaluated = Evaluated.read(Path(config.evaluation))
    baseline = None if config.baseline is None else Evaluated.read(Path(config.baseline))
    rows = judge(evaluated, baseline, alpha=config.alpha, samples=config.samples, seed=config.seed)
    runs = [(name, _training(each)) for name, each in (("family", evaluated), ("baseline", baseline)) if each]
    page = "\n".join([_caption(evaluated, rows, config), table(rows, _first(baseline)), _notes(evaluated, runs)])
    show_page(config, page, {**_conditions(evaluated), "members": rows, "training": dict(runs)})


def _first(baseline: Evaluated | None) -> Row | None:
    return None if baseline is None else baseline.results["members"][0]


def _conditions(evaluated: Evaluated) -> dict[str, Any]:
    words = sum(map(len, evaluated.references.values()))
    kept = {key: evaluated.results[key] for key in ("corpus", "split", "decoder")}
    return {**kept, "utterances": len(evaluated.references), "words": words}


def _caption(evaluated: Evaluated, rows: list[Row], config: DictConfig) -> str:
    facts, confidence = _conditions(evaluated), f"{100 * (1 - config.alpha):g} %"
    settings = ", ".join(f"{key} {value}" for key, value in facts["decoder"].items() if key != "kind")
    decoder = facts["decoder"]["kind"] + (f" ({settings})" if settings else "")
    lines = [
        f"{facts['corpus']}, {facts['split']}: {facts['words']:,} words of {facts['utterances']:,} utterances; "
        f"decoder: {decoder}.",
        f"Intervals: {confidence}, {config.samples:,} bootstrap samples of the utterances.",
    ]
    if "p" in rows[0]:
        detectable = [row["detectable"] for row in rows if row["detectable"] is not None]
        largest = f", which alone would have called {max(detectable):.1f} points a difference" if detectable else ""
        lines.append(
            f"Verdicts: matched pairs (MAPSSWE) against the baseline, alpha {config.alpha:g}{largest}; with Holm's "
            f"correction for {len(rows)} members."
        )
    return "\n".join(lines) + "\n"


def _notes(evaluated: Evaluated, runs: list[tuple[str, dict[str, Any]]]) -> str:
    lines = [f"* {name}: {_said(training)}" for name, training in runs]
    if command := _command("evaluate", evaluated.folder):
        lines.append(f"* evaluated by `{command}`")
    return "".join(f"{line}\n" for line in lines)


def _training(evaluated: Evaluated) -> dict[str, Any]:
    """What is known of the training of an evaluated checkpoint; its run folder need not be there any more."""
    checkpoint = Path(evaluated.results["checkpoint"])
    known: dict[str, Any] = {"checkpoint": str(checkpoint)}
    folder = checkpoint.parent.parent
    if checkpoint.parent.name != CHECKPOINTS or not (folder / FINISHED).is_file():
        return known
    cost = json.loads((folder / "cost.json").read_text(encoding="utf-8"))
    results = json.loads((folder / FINISHED).read_text(encoding="utf-8"))
    known |= {"command": _command("train", folder), "steps": results["steps"], "code": results.get("code")}
    return known | {key: cost.get(key) for key in ("seconds", "audio_seconds", "single_runs", "machine")}


def _said(training: dict[str, Any]) -> str:
    if "steps" not in training:
        return f"`{training['checkpoint']}`"
    parts = [
        f"{training['steps']:,} steps",
        f"{training['seconds']:,.0f} s of training for {training['audio_seconds']:,.0f} s of audio",
    ]
    if training["single_runs"]:
        parts.append(f"{training['single_runs']:.2f} single runs")
    parts += [part for part in (training["machine"], training["code"]) if part]
    return f"`{training['command'] or training['checkpoint']}`: {'; '.join(parts)}"


def _command(verb: str, folder: Path) -> str | None:
    """The command line that a run folder came from, without where this machine keeps decoded audio."""
    path = folder / ".hydra" / "overrides.yaml"
    if not path.is_file():
        return None
    overrides = yaml.safe_load(path.read_text(encoding="utf-8"))
    kept = (str(override) for override in overrides if not str(override).startswith("data.cache="))
    return shlex.join(["allinone", verb, *kept])
