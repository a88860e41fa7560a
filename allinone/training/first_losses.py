"""How far from its end each member of a family begins: losses before any step of training."""

from collections.abc import Iterable, Sequence

import torch

from allinone.data.batch import Batch
from allinone.subnet import SubnetConfig
from allinone.tasks.speech import SpeechTask
from allinone.training.objective import Objective


@torch.no_grad()
def losses_of(
    task: SpeechTask, batches: Iterable[Batch], members: Sequence[SubnetConfig], objective: Objective
) -> dict[str, float]:
    """Mean loss per utterance of members, by their names: what training lowers, without distillation and dropout.

    Args:
        task: the supernet, with statistics of these members if it needs any.
        batches: what they hear; all of them hear the same.
        members: whose loss.
        objective: what the loss is.

    Raises:
        ValueError: if there is nothing to hear.
    """
    training = task.training
    task.eval()
    sums = dict.fromkeys((member.name for member in members), 0.0)
    utterances = 0
    for batch in batches:
        utterances += len(batch)
        shared = task.shared(batch.waveforms, batch.lengths)
        for member in members:
            depths = objective.depths(member, task.space)
            output = task.learn(shared, member, batch.labels, batch.label_lengths, depths)
            sums[member.name] += float(objective.losses(output, batch.labels, batch.label_lengths).sum())
    task.train(training)
    if not utterances:
        raise ValueError("Losses require at least one utterance to hear; found none. Give some.")
    return {name: total / utterances for name, total in sums.items()}
