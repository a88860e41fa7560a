"""Some held-out recordings, chosen by chance: what was said, what members heard, and the audio to listen to."""

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from allinone.data import Batch, SpeechDataModule
from allinone.data.audio import write_wav
from allinone.data.selection import choose
from allinone.tasks.evaluation import Evaluation

TABLE = "references.tsv"


class Examples:
    """Recordings that are watched while all of them are evaluated.

    Args:
        data: the corpus, prepared and checked.
        split: of which recordings are chosen.
        count: how many.
        seed: of the choice.
        keep_audio: whether their waveforms are kept, to be saved.
        among: so many utterances alone are evaluated; None stands for all of the split.
    """

    def __init__(
        self, data: SpeechDataModule, split: str, count: int, seed: int, keep_audio: bool, among: int | None = None
    ) -> None:
        cuts = data.utterances(split)
        ids = sorted(cut.id for cut in (cuts if among is None else choose(cuts, among)))
        self.ids = random.Random(seed).sample(ids, min(count, len(ids)))
        self.keep_audio = keep_audio
        self.audio: dict[str, torch.Tensor] = {}

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches; what was chosen is kept on the way."""
        for batch in batches:
            for row, name in enumerate(batch.ids):
                if self.keep_audio and name in self.ids:
                    self.audio[name] = batch.waveforms[row, : int(batch.lengths[row])].clone()
            yield batch

    def rows(self, references: dict[str, str], evaluations: Sequence[Evaluation]) -> list[dict[str, Any]]:
        """For each example its id, what was said, and what each of these members heard."""
        return [
            {
                "id": name,
                "reference": references[name],
                "hypotheses": {evaluation.member.name: evaluation.texts[name] for evaluation in evaluations},
            }
            for name in self.ids
            if name in references
        ]

    def save(self, folder: Path, references: dict[str, str]) -> None:
        """Writes each as ``<id>.wav`` (16 kHz), and a table of ids and texts that `allinone transcribe` takes."""
        folder.mkdir(parents=True, exist_ok=True)
        lines = ["id\ttext"]
        for name in filter(self.audio.__contains__, self.ids):
            safe = name.replace("/", "_")
            write_wav(folder / f"{safe}.wav", self.audio[name].numpy())
            lines.append(f"{safe}\t{references[name]}")
        (folder / TABLE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def show_examples(rows: Sequence[dict[str, Any]]) -> None:
    """Prints them, one text below the other."""
    for row in rows:
        texts = {"said": row["reference"], **row["hypotheses"]}
        size = max(map(len, texts))
        print(row["id"])
        for name, text in texts.items():
            print(f"  {name:<{size}}  {text}".rstrip())
        print()
