"""What verbs that evaluate share: a checkpoint with its corpus and decoder, and the files that an evaluation leaves."""

import csv
import json
import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import track

from allinone.cli.devices import device
from allinone.cli.members import size
from allinone.cli.slices import slice_rates
from allinone.cli.trained_data import provide_statistics, ready_data, trained_data
from allinone.data import Batch, SpeechDataModule
from allinone.decoding import Decode, Decoder
from allinone.scoring import write_trn
from allinone.subnet import SubnetConfig
from allinone.tasks.evaluation import Evaluation, evaluate
from allinone.tasks.speech import SpeechTask
from allinone.training.start import load_task

logger = logging.getLogger(__name__)

Batches = Iterable[Batch]


@dataclass(frozen=True)
class Ready:
    """A checkpoint, ready to be evaluated.

    Attributes:
        checkpoint: the file.
        task: the supernet.
        members: whom to evaluate.
        data: on what.
        decoder: how outputs become text.
        decode: what it does for these labels.
        device: where to compute.
    """

    checkpoint: Path
    task: SpeechTask
    members: Sequence[SubnetConfig]
    data: SpeechDataModule
    decoder: Decoder
    decode: Decode
    device: str

    @classmethod
    def load(
        cls, checkpoint: Path, config: DictConfig, members: Callable[[SpeechTask], Sequence[SubnetConfig]]
    ) -> "Ready":
        """Loads and checks everything before anything is computed.

        Args:
            checkpoint: of `allinone train`.
            config: of a verb that has ``data``, ``decoder`` and ``device``.
            members: chooses whom to evaluate.
        """
        decoder: Decoder = instantiate(config.decoder)
        task, about = load_task(checkpoint)
        decode = decoder.build(task.tokenizer)
        chosen = members(task)
        data = _data(config.data, task, about)

        def trained() -> SpeechDataModule:
            return trained_data(task, about) if "_target_" in _changes(config.data) else data

        provide_statistics(task, chosen, about, trained, device(config.device))
        return cls(checkpoint, task, chosen, data, decoder, decode, device(config.device))

    def evaluate(
        self,
        split: str,
        watch: Callable[[Batches], Batches] = lambda batches: batches,
        utterances: int | None = None,
    ) -> tuple[list[Evaluation], dict[str, str]]:
        """Recognises a split, or so many utterances of it; on a terminal, with a progress bar on standard error."""
        console = Console(file=sys.stderr)
        batches = track(
            self.data.loader(split, utterances=utterances),
            "evaluating",
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        return evaluate(
            self.task,
            watch(_readable(batches)),
            self.members,
            decode=self.decode,
            scoring=self.data.scoring,
            device=self.device,
        )

    def batches(self, split: str, utterances: int | None) -> list[Batch]:
        """A split, or so many utterances of it, in memory."""
        return list(_readable(self.data.loader(split, utterances=utterances)))

    def results(
        self, split: str, evaluations: Sequence[Evaluation], references: dict[str, str], slicing: Any
    ) -> dict[str, Any]:
        """What ``results.json`` says."""
        slices = slice_rates(self.data, split, slicing, references, evaluations)
        return {
            "checkpoint": str(self.checkpoint),
            "corpus": self.data.corpus.name,
            "split": split,
            "utterances": len(references),
            "decoder": {"kind": type(self.decoder).__name__, **vars(self.decoder)},
            "members": [
                {**_row(self.task, evaluation), "slices": rates}
                for evaluation, rates in zip(evaluations, slices, strict=True)
            ],
        }


def _readable(batches: Batches) -> Batches:
    return (batch for batch in batches if batch.ids != ("",))


def write_evaluation(
    folder: Path, results: Mapping[str, Any], references: Mapping[str, str], evaluations: Sequence[Evaluation]
) -> None:
    """Writes results, transcription files of NIST (the reference and what each member heard), and tables of scores."""
    folder.mkdir(parents=True, exist_ok=True)
    write_trn(folder / "reference.trn", sorted(references.items()))
    for evaluation in evaluations:
        write_trn(folder / f"{evaluation.member.name}.trn", sorted(evaluation.texts.items()))
        _write_scores(folder / f"{evaluation.member.name}.scores.tsv", evaluation.scores)
    (folder / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")


def _write_scores(path: Path, scores: Mapping[str, Mapping[str, float]]) -> None:
    """Tab-separated values with a header: the id of each utterance, and the scores of its text."""
    columns = ["id", *dict.fromkeys(name for row in scores.values() for name in row)]
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns, restval="", delimiter="\t", lineterminator="\n")
        table.writeheader()
        for name, row in sorted(scores.items()):
            table.writerow({"id": name, **{column: f"{score:.6f}" for column, score in row.items()}})


def _data(given: DictConfig, task: SpeechTask, about: dict[str, Any]) -> SpeechDataModule:
    data = ready_data(data_settings(given, about, "Evaluating"), task)
    if about["origin"].get("data_hash") not in (None, data.fingerprint):
        logger.warning(
            "The training part of this corpus is not what the checkpoint was trained on: "
            "make sure that it did not hear the recordings that it is now evaluated on."
        )
    return data


def _changes(given: DictConfig) -> dict[str, Any]:
    """What of the corpus was given: all of another one, or some settings."""
    return {str(key): given[key] for key in given if not OmegaConf.is_missing(given, key)}


def data_settings(given: DictConfig, about: dict[str, Any], doing: str) -> dict[str, Any]:
    """A corpus of its own (data=NAME), or else the one that the checkpoint was trained on with some other settings.

    Args:
        given: the setting ``data`` of a verb.
        about: what a checkpoint tells.
        doing: what the corpus is for, for messages.

    Raises:
        ValueError: if there is neither.
    """
    changes = _changes(given)
    if "_target_" in changes:
        return changes
    trained = about["origin"].get("data")
    if trained is None:
        raise ValueError(
            f"{doing} requires a corpus; found neither data=NAME nor one that the checkpoint names. "
            "Add data=amazon_queen, or data=table data.corpus.table=FILE for your own."
        )
    return {**trained, **changes}


def _row(task: SpeechTask, evaluation: Evaluation) -> dict[str, Any]:
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
        **size(task.full_bytes, task.whole_bytes, task.cost(evaluation.member)),
    }
