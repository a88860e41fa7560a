"""Survival levels in training: which weights sparse members lack, decided anew by a criterion when it is due."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
import torch.distributed
from torch import Tensor, nn

from allinone.data.batch import Batch
from allinone.layers.elastic import Elastic
from allinone.sparsity import Criterion, Schedule, mean_magnitudes
from allinone.tasks.recalibration import recalibrate
from allinone.tasks.speech import SpeechTask
from allinone.training.objective import Objective
from allinone.training.optim import AdamW


@dataclass(frozen=True)
class Prune:
    """When and by what survival levels are taken. Until then they are those of the weights' magnitudes at the start.

    Args:
        criterion: how much each weight matters.
        schedule: before which updates levels are taken.
    """

    criterion: Criterion
    schedule: Schedule

    def refuse_misfit(self, optimizer: AdamW, max_steps: int) -> None:
        """Raises ValueError if a training cannot give the criterion what it needs.

        Args:
            optimizer: settings of the optimiser.
            max_steps: updates of the training.
        """
        if self.criterion.needs_moments and self.schedule.first < 1:
            raise ValueError(
                "The criterion Adam requires a schedule that takes levels after the first update, when there are "
                f"second moments; found {self.schedule}, which does so before. Choose levels=few_shot or "
                "levels=every_k, or criterion=magnitude."
            )
        if self.criterion.needs_moments and optimizer.sharded:
            raise ValueError(
                "The criterion Adam requires all second moments in every process; found optimizer.sharded=true, which "
                "divides them. Give optimizer.sharded=false, or criterion=magnitude or taylor."
            )
        if self.schedule.first >= max_steps:
            raise ValueError(
                f"Survival levels must be taken within the training of {max_steps} updates; found {self.schedule}, "
                f"first due after {self.schedule.first}. Train longer, or give an earlier schedule."
            )


@torch.no_grad()
def take_levels(
    task: SpeechTask,
    criterion: Criterion,
    *,
    optimizer: torch.optim.Optimizer | None = None,
    batches: Iterable[Batch] = (),
    objective: Objective | None = None,
) -> None:
    """Takes survival levels anew, equal in all processes: those of the first one.

    Args:
        task: the supernet.
        criterion: how much each weight matters.
        optimizer: AdamW, for its second moments, if the criterion needs them.
        batches: for gradients, if the criterion needs them; the largest member's on the first of them.
        objective: the loss whose gradients they are.

    Raises:
        ValueError: if the criterion is not given what it needs, or scores are not finite.
    """
    gradients: Mapping[str, Tensor] = {}
    if criterion.batches:
        assert objective is not None
        gradients = mean_magnitudes(_gradients(task, list(islice(batches, criterion.batches)), objective))
    for part, elastic in task.parts():
        scores = {}
        for name in elastic.prunable:
            weight = elastic.module.get_parameter(name)
            moment = None if optimizer is None else optimizer.state.get(weight, {}).get("exp_avg_sq")
            scores[name] = criterion.scores(weight, moment, gradients.get(f"{part}.{name}"))
        elastic.take_levels(scores)
        if torch.distributed.is_initialized():
            for level in elastic.levels.buffers():
                torch.distributed.broadcast(level, 0)


def _gradients(task: SpeechTask, batches: Sequence[Batch], objective: Objective) -> Iterator[Mapping[str, Tensor]]:
    """Gradients of the largest member's loss on each batch; those that training accumulates stay as they are."""
    weights = dict(_prunable(task))
    largest, training, statistics = task.space.largest, task.training, task.encoder.statistics
    device = next(task.parameters()).device
    recalibrate(task, batches, [largest], device=device)
    task.eval()
    try:
        for batch in batches:
            heard = batch.to(device)
            with torch.enable_grad():
                shared = task.shared(heard.waveforms, heard.lengths)
                output = task.learn(shared, largest, heard.labels, heard.label_lengths)
                loss = objective.losses(output, heard.labels, heard.label_lengths).mean()
                found = torch.autograd.grad(loss, list(weights.values()), allow_unused=True, materialize_grads=True)
            yield dict(zip(weights, found, strict=True))
    finally:
        task.train(training)
        task.encoder.statistics = statistics


def _prunable(task: SpeechTask) -> Iterator[tuple[str, nn.Parameter]]:
    for part, elastic in task.parts():
        assert isinstance(elastic, Elastic)
        for name in elastic.prunable:
            yield f"{part}.{name}", elastic.module.get_parameter(name)
