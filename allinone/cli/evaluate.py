"""`allinone evaluate`: word and character error rates of a trained supernet's members."""

import logging
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig

from allinone.cli.evaluations import Ready, write_evaluation
from allinone.cli.examples import Examples, show_examples
from allinone.cli.members import members_to_list
from allinone.cli.slices import show_slices
from allinone.cli.tables import NAME, PARAMETERS, RATIO, STORED, Column, check_format, show_json, show_table
from allinone.data.rows import check_split
from allinone.subnet import SubnetConfig
from allinone.tasks.speech import SpeechTask

COLUMNS = (
    NAME,
    Column("WER %", "wer", "{:.2f}"),
    Column("S", "substitutions", "{}"),
    Column("D", "deletions", "{}"),
    Column("I", "insertions", "{}"),
    Column("CER %", "cer", "{:.2f}"),
    PARAMETERS,
    RATIO,
    STORED,
)

logger = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Prints one row for each member, and writes results and transcripts into the run folder."""
    check_format(config.format)
    _check(config)
    folder = Path(HydraConfig.get().runtime.output_dir)
    ready = Ready.load(Path(config.checkpoint), config, lambda task: _members(config, task))
    keep_audio = config.save_audio is not None
    examples = Examples(
        ready.data, config.split, config.examples, config.seed, keep_audio=keep_audio, among=config.utterances
    )
    evaluations, references = ready.evaluate(config.split, examples.watch, config.utterances)
    results = ready.results(config.split, evaluations, references, instantiate(config.slicing))
    rows = results["members"]
    sizes = [row["bytes_stored"] for row in rows]
    ends = dict.fromkeys((sizes.index(max(sizes)), sizes.index(min(sizes))))  # an ordered set
    shown = results["examples"] = examples.rows(references, [evaluations[index] for index in ends])
    write_evaluation(folder, results, references, evaluations)
    if config.save_audio is not None:
        examples.save(Path(config.save_audio), references)
    if config.format == "json":
        show_json(rows)
    else:
        words = f"{rows[0]['words']:,} words of {len(references):,} utterances"
        show_table(COLUMNS, rows, f"{words} ({ready.data.corpus.name}, {config.split})")
        if config.slices:
            show_slices(rows)
        show_examples(shown)
    logger.info("Results and transcripts are in %s.", folder)


def _check(config: DictConfig) -> None:
    check_split(config.split)
    if config.utterances is not None and config.utterances < 1:
        raise ValueError(
            f"utterances requires a number of 1 or more; found {config.utterances}. Leave it out to hear all."
        )
    if config.examples < 0 or (config.save_audio is not None and not config.examples):
        raise ValueError(
            f"save_audio requires a number of examples; found examples={config.examples}. Add examples=3, for instance."
        )


def _members(config: DictConfig, task: SpeechTask) -> list[SubnetConfig]:
    if config.subnets is None:
        return members_to_list(task.space, config.sample, config.seed)
    names = [config.subnets] if isinstance(config.subnets, str) else config.subnets
    members = list(dict.fromkeys(task.space.parse(name) for name in names))
    if not members:
        raise ValueError("subnets requires names of members; found none. Name some, or leave it out to evaluate all.")
    return members
