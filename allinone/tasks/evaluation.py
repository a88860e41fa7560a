"""Evaluation: the errors of several members on the same recordings."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from allinone.data.batch import Batch
from allinone.decoding import Decode
from allinone.scoring import ErrorCounts, character_errors, word_errors
from allinone.subnet import SubnetConfig
from allinone.tasks.speech import Shared, SpeechTask


@dataclass
class Evaluation:
    """What one member recognised.

    Args:
        member: which one.
        words: errors in words.
        characters: errors in characters.
        texts: what it heard, by id of the utterance, as it is scored.
        scores: those of these texts, by id.
    """

    member: SubnetConfig
    words: ErrorCounts = field(default_factory=ErrorCounts)
    characters: ErrorCounts = field(default_factory=ErrorCounts)
    texts: dict[str, str] = field(default_factory=dict)
    scores: dict[str, Mapping[str, float]] = field(default_factory=dict)

    def add(
        self, task: SpeechTask, shared: Shared, batch: Batch, decode: Decode, scoring: Callable[[str], str]
    ) -> None:
        """Recognises one batch more.

        Args:
            task: the supernet.
            shared: what its members share of the batch.
            batch: ids and reference texts.
            decode: from what it heard to texts.
            scoring: what both texts are made before they are compared.
        """
        heard = decode(task.recognise(shared, self.member))
        for name, reference, (best, *_) in zip(batch.ids, batch.texts, heard, strict=True):
            said, text = scoring(reference), scoring(best.text)
            self.texts[name], self.scores[name] = text, best.scores
            self.words += word_errors(said, text)
            self.characters += character_errors(said, text)


@torch.inference_mode()
def evaluate(
    task: SpeechTask,
    batches: Iterable[Batch],
    members: Sequence[SubnetConfig],
    *,
    decode: Decode,
    scoring: Callable[[str], str],
    device: torch.device | str = "cpu",
) -> tuple[list[Evaluation], dict[str, str]]:
    """Recognises every batch as every member; what members share is computed once for a batch.

    Args:
        task: the supernet; it is put into evaluation mode on the device.
        batches: the recordings and their texts.
        members: whom to evaluate.
        decode: from what a member heard to texts, the same for all members.
        scoring: what references and texts are made before they are compared.
        device: where to compute.

    Returns:
        An evaluation for each member, in the order given, and the reference texts by id, as they are
        scored.
    """
    task.eval().to(device)
    evaluations = [Evaluation(member) for member in members]
    references: dict[str, str] = {}
    for batch in batches:
        references.update(zip(batch.ids, map(scoring, batch.texts), strict=True))
        batch = batch.to(device)
        shared = task.shared(batch.waveforms, batch.lengths)
        for evaluation in evaluations:
            evaluation.add(task, shared, batch, decode, scoring)
    return evaluations, references
