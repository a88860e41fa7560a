"""`allinone compare`: members of one training beside the same networks trained alone, and what both cost."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig

from allinone.cli.evaluations import Ready, write_evaluation
from allinone.cli.pages import check_page, show_page
from allinone.cli.run_folder import CHECKPOINTS
from allinone.data.rows import check_split
from allinone.report.results import Evaluated
from allinone.report.twins import TrainingRun, costs, judge_twins, require_alike
from allinone.report.twins_page import draw, page
from allinone.training.checkpoints import MODEL

logger = logging.getLogger(__name__)

PICTURE = "twins.svg"


def run(config: DictConfig) -> None:
    """Prints the table; the run folder gets the evaluations, the table as JSON, and a picture."""
    check_page(config)
    splits, paths = ([given] if isinstance(given, str) else list(given) for given in (config.splits, config.twins))
    for split in splits:
        check_split(split)
    one_pass = TrainingRun.read(Path(config.one_pass))
    twins = [TrainingRun.read(Path(path)) for path in paths]
    baseline = None if config.baseline is None else TrainingRun.read(Path(config.baseline))
    require_alike([one_pass, *twins, *([] if baseline is None else [baseline])])
    names = _names(twins)
    folder = Path(HydraConfig.get().runtime.output_dir)
    members = _evaluate(one_pass, names, splits, folder / "one_pass", config)
    alone = {
        name: _evaluate(twin, [name], splits, folder / name, config) for name, twin in zip(names, twins, strict=True)
    }
    dense = None if baseline is None else _evaluate(baseline, _names([baseline]), splits, folder / "baseline", config)
    rows = judge_twins(
        members.references,
        members.hypotheses,
        {name: evaluated.hypotheses[name] for name, evaluated in alone.items()},
        None if dense is None else next(iter(dense.hypotheses.values())),
        alpha=config.alpha,
        samples=config.samples,
        seed=config.seed,
    )
    sizes = {row["name"]: row for row in members.results["members"]}
    rows = [
        {**{key: sizes[row["name"]][key] for key in ("parameters", "bytes", "ratio", "bytes_stored")}, **row}
        for row in rows
    ]
    document = {
        "corpus": members.results["corpus"],
        "splits": splits,
        "decoder": members.results["decoder"],
        "utterances": len(members.references),
        "words": sum(map(len, members.references.values())),
        "alpha": config.alpha,
        "samples": config.samples,
        "members": rows,
        "cost": costs(one_pass, twins, baseline),
    }
    (folder / "comparison.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    draw(document, folder / PICTURE)
    show_page(config, page(document), document)
    logger.info("Evaluations, comparison.json and %s are in %s.", PICTURE, folder)


def _names(runs: Sequence[TrainingRun]) -> list[str]:
    """The one member that each run trained, as its settings name it."""
    if not runs:
        raise ValueError("A comparison requires twins; found none. Add 'twins=[RUN,...]': runs with sampler=fixed.")
    names: list[str] = []
    for run in runs:
        given = run.config["sampler"].get("subnet")
        if given is None:
            raise ValueError(
                f"A twin and a baseline are runs that trained one member alone (sampler=fixed); found {run.folder} "
                f"with {run.config['sampler']['_target_']}. Name another run, or train one."
            )
        name = instantiate(run.config["space"]).parse(given).name
        if name in names:
            raise ValueError(f"Each twin is named once; found two runs that trained {name}. Leave one out.")
        names.append(name)
    return names


def _evaluate(
    run: TrainingRun, names: Sequence[str], splits: Sequence[str], folder: Path, config: DictConfig
) -> Evaluated:
    """Evaluates members of a run on the splits, pooled."""
    checkpoint = run.folder / CHECKPOINTS / MODEL
    ready = Ready.load(checkpoint, config, lambda task: [task.space.parse(name) for name in names])
    for split in splits:
        evaluations, references = ready.evaluate(split)
        results = ready.results(split, evaluations, references, instantiate(config.slicing))
        write_evaluation(folder / split, results, references, evaluations)
    return Evaluated.pooled([Evaluated.read(folder / split) for split in splits])
