"""`allinone evaluate`: word and character error rates of a trained supernet's members."""

import json
import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import track

from allinone.cli.devices import device
from allinone.cli.examples import Examples, show_examples
from allinone.cli.members import members_to_list, size
from allinone.cli.slices import show_slices, slice_rates
from allinone.cli.tables import NAME, PARAMETERS, RATIO, STORED, Column, check_format, show_json, show_table
from allinone.cli.trained_data import provide_statistics, ready_data, trained_data
from allinone.data import Batch, SpeechDataModule
from allinone.data.rows import check_split
from allinone.decoding import Decoder
from allinone.scoring import write_trn
from allinone.subnet import SubnetConfig
from allinone.tasks.ctc import CtcTask
from allinone.tasks.evaluation import Evaluation, evaluate
from allinone.training.start import load_task

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
    decoder: Decoder = instantiate(config.decoder)
    task, about = load_task(Path(config.checkpoint))
    decode = decoder.build(task.tokenizer)
    members = _members(config, task)
    data = _data(config, task, about)

    def trained() -> SpeechDataModule:
        return trained_data(task, about) if "_target_" in _changes(config.data) else data

    provide_statistics(task, members, about, trained, device(config.device))
    examples = Examples(data, config.split, config.examples, config.seed, keep_audio=config.save_audio is not None)
    batches = examples.watch(_readable(data.loader(config.split)))
    evaluations, references = evaluate(task, batches, members, decode=decode, device=device(config.device))
    slices = slice_rates(data, config.split, instantiate(config.slicing), references, evaluations)
    rows: list[dict[str, Any]] = [
        {**_row(task, evaluation), "slices": rates} for evaluation, rates in zip(evaluations, slices, strict=True)
    ]
    sizes = [row["bytes_stored"] for row in rows]
    ends = dict.fromkeys((sizes.index(max(sizes)), sizes.index(min(sizes))))  # an ordered set
    shown = examples.rows(references, [evaluations[index] for index in ends])
    results = {
        "checkpoint": str(config.checkpoint),
        "corpus": data.corpus.name,
        "split": config.split,
        "utterances": len(references),
        "decoder": {"kind": type(decoder).__name__, **vars(decoder)},
        "members": rows,
        "examples": shown,
    }
    (folder / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    _write_transcripts(folder, references, evaluations)
    if config.save_audio is not None:
        examples.save(Path(config.save_audio), references)
    if config.format == "json":
        show_json(rows)
    else:
        words = f"{rows[0]['words']:,} words of {len(references):,} utterances"
        show_table(COLUMNS, rows, f"{words} ({data.corpus.name}, {config.split})")
        if config.slices:
            show_slices(rows)
        show_examples(shown)
    logger.info("Results and transcripts are in %s.", folder)


def _check(config: DictConfig) -> None:
    check_split(config.split)
    if config.examples < 0 or (config.save_audio is not None and not config.examples):
        raise ValueError(
            f"save_audio requires a number of examples; found examples={config.examples}. Add examples=3, for instance."
        )


def _members(config: DictConfig, task: CtcTask) -> list[SubnetConfig]:
    if config.subnets is None:
        return members_to_list(task.space, config.sample, config.seed)
    names = [config.subnets] if isinstance(config.subnets, str) else config.subnets
    members = list(dict.fromkeys(task.space.parse(name) for name in names))
    if not members:
        raise ValueError("subnets requires names of members; found none. Name some, or leave it out to evaluate all.")
    return members


def _data(config: DictConfig, task: CtcTask, about: dict[str, Any]) -> SpeechDataModule:
    data = ready_data(_data_settings(config.data, about), task)
    if about["origin"].get("data_hash") not in (None, data.fingerprint):
        logger.warning(
            "The training part of this corpus is not what the checkpoint was trained on: "
            "make sure that it did not hear the recordings that it is now evaluated on."
        )
    return data


def _changes(given: DictConfig) -> dict[str, Any]:
    """What of the corpus was given: all of another one, or some settings."""
    return {str(key): given[key] for key in given if not OmegaConf.is_missing(given, key)}


def _data_settings(given: DictConfig, about: dict[str, Any]) -> dict[str, Any]:
    """A corpus of its own (data=NAME), or else the one that the checkpoint was trained on with some other settings."""
    changes = _changes(given)
    if "_target_" in changes:
        return changes
    trained = about["origin"].get("data")
    if trained is None:
        raise ValueError(
            "Evaluating requires a corpus; found neither data=NAME nor one that the checkpoint names. "
            "Add data=amazon_queen, or data=table data.corpus.table=FILE for your own."
        )
    return {**trained, **changes}


def _readable(batches: Iterable[Batch]) -> Iterable[Batch]:
    """The batches of which anything can be read; on a terminal, with a progress bar on standard error."""
    console = Console(file=sys.stderr)
    shown = track(batches, "evaluating", console=console, transient=True, disable=not console.is_terminal)
    return (batch for batch in shown if batch.ids != ("",))


def _row(task: CtcTask, evaluation: Evaluation) -> dict[str, Any]:
    words, characters = evaluation.words, evaluation.characters
    return {
        "name": evaluation.member.name,
        "wer": words.rate,
        "cer": characters.rate,
        "substitutions": words.substitutions,
        "deletions": words.deletions,
        "insertions": words.insertions,
        "words": words.words,
        "characters": characters.words,
        **size(task.layout, task.cost(evaluation.member)),
    }


def _write_transcripts(folder: Path, references: dict[str, str], evaluations: list[Evaluation]) -> None:
    """Transcription files of NIST: the reference and what each member heard."""
    write_trn(folder / "reference.trn", sorted(references.items()))
    for evaluation in evaluations:
        write_trn(folder / f"{evaluation.member.name}.trn", sorted(evaluation.texts.items()))
