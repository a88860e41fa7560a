"""Word error rates of slices of a test set, for every member."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from allinone.cli.tables import Column, show_table
from allinone.data import SpeechDataModule
from allinone.scoring import Slicing, Utterance
from allinone.tasks.evaluation import Evaluation

Rates = dict[str, dict[str, dict[str, float]]]  # what divides -> name of the slice -> wer and words

TITLES = {"speaker": "speaker", "seconds": "seconds", "seen": "times in training"}


def slice_rates(
    data: SpeechDataModule, split: str, slicing: Slicing, references: dict[str, str], evaluations: Sequence[Evaluation]
) -> list[Rates]:
    """For each member the word error rate of each slice, in percent, and how many words it has.

    Args:
        data: the corpus; where it has a training part, words are divided by how often they are found there.
        split: what was evaluated.
        slicing: where lengths and counts are divided.
        references: what was said, of each utterance that could be read.
        evaluations: what each member heard.
    """
    cuts = {cut.id: cut for cut in data.utterances(split)}
    utterances = {
        name: Utterance(text, cuts[name].duration, cuts[name].supervisions[0].speaker)
        for name, text in references.items()
    }
    seen = (
        Counter(word for text in data.texts("train") for word in data.scoring(text).split())
        if data.cuts["train"]
        else None
    )
    return [
        {
            kind: {name: {"wer": errors.rate, "words": errors.words} for name, errors in slices.items()}
            for kind, slices in slicing.slices(utterances, evaluation.texts, seen).items()
        }
        for evaluation in evaluations
    ]


def show_slices(rows: Sequence[dict[str, Any]]) -> None:
    """Prints a row for each slice and a column for each member."""
    columns = [Column("slice", "slice"), Column("words", "words", "{:,}")]
    columns += [Column("\n".join(row["name"].rsplit("-", 1)), row["name"], "{:.1f}") for row in rows]
    lines = [
        {"slice": f"{TITLES[kind]} {name}", "words": rates["words"]}
        | {row["name"]: row["slices"][kind][name]["wer"] for row in rows}
        for kind, slices in rows[0]["slices"].items()
        for name, rates in slices.items()
    ]
    show_table(
        columns,
        lines,
        "WER % of each slice; of words by how often they are found in training, the share that was not heard",
    )
