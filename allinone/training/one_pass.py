"""One training step of a supernet: several members, one set of weights, one gradient."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor

from allinone.data.batch import SAMPLE_RATE, Batch
from allinone.subnet import SubnetConfig
from allinone.tasks.output import Output
from allinone.tasks.speech import Shared, SpeechTask
from allinone.training.objective import Objective


class Stopwatch(Protocol):
    """Is told when work for a member (or for ``"shared"`` parts) begins and how much audio it is for."""

    def __call__(self, part: str, audio_seconds: float) -> None:
        """Work for that part begins now."""
        ...


@dataclass(frozen=True)
class Draw:
    """What chance in a step depends on.

    Args:
        seed: of the run.
        step: number of the batch.
        rank: of the process.
    """

    seed: int
    step: int
    rank: int

    def fix(self, place: str) -> None:
        """Makes the following draws a function of the run, the step, the rank and a place in it."""
        digest = hashlib.sha256(f"{self.seed}/{self.step}/{self.rank}/{place}".encode()).digest()
        torch.manual_seed(int.from_bytes(digest[:8], "big") >> 1)


@dataclass(frozen=True)
class Part:
    """Utterances of a batch, and who trains on them.

    Args:
        rows: indices of the utterances.
        members: the largest first, if it is among them.
    """

    rows: tuple[int, ...]
    members: tuple[SubnetConfig, ...]


def assign(batch: Batch, members: Sequence[SubnetConfig], in_batch: bool, step: int) -> list[Part]:
    """Which members train on which part of a batch.

    In-batch, the parts take turns from step to step, so that no member always gets the longest utterance; a batch with
    fewer utterances than members leaves out the last members, which are random ones.
    """
    if not in_batch:
        return [Part(tuple(range(len(batch))), tuple(members))]
    members = members[: len(batch)]
    parts = batch.parts(len(members))
    return [Part(parts[(index + step) % len(parts)], (member,)) for index, member in enumerate(members)]


def one_pass(
    task: SpeechTask,
    batch: Batch,
    plan: Sequence[Part],
    objective: Objective,
    *,
    scale: float,
    backward: Callable[[Tensor], None],
    draw: Draw,
    teacher: SpeechTask | None = None,
    begin: Stopwatch = lambda part, audio_seconds: None,
) -> dict[str, Tensor]:
    """Adds the gradients of all members of a step.

    Only one member's graph is alive at a time. What the members share is computed once for the whole batch; each
    member's backward pass ends at its output, and one more pass carries the sum on through it. The teacher hears all
    that it has not heard as a member in one pass, too: a few large products cost less than many small ones.

    Args:
        task: the supernet.
        batch: the utterances.
        plan: as :func:`assign` gives it; the step's first member is its largest, and the teacher of the others.
        objective: Eq. 2 or 4.
        scale: factor of the sum of all utterances' losses, such as 1 / utterances.
        backward: accumulates gradients, without synchronising them.
        draw: what dropout depends on.
        teacher: another supernet, whose largest member teaches in its place: all members, this step's largest, too.
        begin: told what is being worked on: ``shared``, ``teacher`` or a member.

    Returns:
        For each member, its mean loss per utterance of its part, detached.
    """
    # of the members of this step: a lone one has no teacher of its own
    largest = plan[0].members[0] if teacher is None else teacher.space.largest
    begin("shared", batch.seconds)
    draw.fix("shared")
    shared = task.shared(batch.waveforms, batch.lengths, batch.seeds)
    leaf = replace(shared, x=shared.x.detach().requires_grad_(shared.x.requires_grad))
    lessons = _lessons(task, batch, leaf, plan, objective, draw, teacher, begin)
    report: dict[str, Tensor] = {}
    for place, part in enumerate(plan):
        heard, own = (
            (batch, leaf) if len(part.rows) == len(batch) else (batch.select(part.rows), leaf.select(part.rows))
        )
        lesson = lessons.get(place)
        for member in part.members:
            weights = objective.weights(member, largest, outside=teacher is not None)
            begin(member.name, heard.seconds)
            draw.fix(f"{place}/{member.name}")
            depths = objective.depths(member, task.space)
            output = task.learn(own, member, heard.labels, heard.label_lengths, depths)
            losses = objective.losses(output, heard.labels, heard.label_lengths)
            loss = weights.loss * losses.sum()
            if weights.distillation:
                assert lesson is not None
                loss = loss + weights.distillation * objective.divergences(output, lesson).sum()
            backward(loss * scale)
            report[member.name] = losses.detach().mean()
            if teacher is None and member == largest:
                lesson = output.detach()
    begin("shared", 0.0)
    if leaf.x.grad is not None:
        shared.x.backward(leaf.x.grad)  # not `backward`: the gradient is scaled already
    return report


@torch.no_grad()
def _lessons(
    task: SpeechTask,
    batch: Batch,
    shared: Shared,
    plan: Sequence[Part],
    objective: Objective,
    draw: Draw,
    teacher: SpeechTask | None,
    begin: Stopwatch,
) -> dict[int, Output]:
    """What the teacher says to each part that others learn from; the step's largest hears its own part anyway."""
    largest = plan[0].members[0] if teacher is None else teacher.space.largest
    taught = {
        place: part.rows
        for place, part in enumerate(plan)
        if (teacher is not None or largest not in part.members)
        and any(objective.weights(member, largest, teacher is not None).distillation for member in part.members)
    }
    if not taught:
        return {}
    rows = [row for of_part in taught.values() for row in of_part]
    begin("teacher", sum(batch.lengths[rows].tolist()) / SAMPLE_RATE)
    draw.fix("teacher")
    heard = batch.select(rows)
    if teacher is None:
        teacher, own = task, shared.select(rows)
    else:
        own = teacher.shared(heard.waveforms, heard.lengths, heard.seeds)
    said = teacher.learn(own, largest, heard.labels, heard.label_lengths)
    ends = list(accumulate(map(len, taught.values()), initial=0))
    return {place: said.select(range(*ends[index : index + 2])) for index, place in enumerate(taught)}


def touch_all(parameters: Iterator[Tensor]) -> Tensor:
    """Zero, as a function of all that is trained: its backward pass synchronises all gradients, exactly once."""
    return sum((parameter.sum() * 0.0 for parameter in parameters if parameter.requires_grad), torch.zeros(()))
