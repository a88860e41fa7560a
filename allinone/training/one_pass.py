"""One training step of a supernet: several members, one set of weights, one gradient."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from allinone.data.batch import Batch
from allinone.subnet import SubnetConfig
from allinone.tasks.ctc import CtcTask
from allinone.tasks.network import CtcOutput
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


def assign(
    batch: Batch, members: Sequence[SubnetConfig], in_batch: bool, step: int
) -> list[tuple[Batch, list[SubnetConfig]]]:
    """Which members train on which part of a batch.

    In-batch, the parts take turns from step to step, so that no member always gets the longest utterance; a batch with
    fewer utterances than members leaves out the last members, which are random ones.
    """
    if not in_batch:
        return [(batch, list(members))]
    members = members[: len(batch)]
    parts = batch.split(len(members))
    return [(parts[(index + step) % len(parts)], [member]) for index, member in enumerate(members)]


def one_pass(
    task: CtcTask,
    assignment: Sequence[tuple[Batch, list[SubnetConfig]]],
    objective: Objective,
    *,
    scale: float,
    backward: Callable[[Tensor], None],
    draw: Draw,
    begin: Stopwatch = lambda part, audio_seconds: None,
) -> dict[str, Tensor]:
    """Adds the gradients of all members of a step.

    Only one member's graph is alive at a time. What the members share is computed once; each member's backward pass
    ends at its output, and one more pass carries the sum on through it.

    Args:
        task: the supernet.
        assignment: as :func:`assign` gives it; the step's first member is its largest, and the teacher.
        objective: Eq. 2 or 4.
        scale: factor of the sum of all utterances' losses, such as 1 / utterances.
        backward: accumulates gradients, without synchronising them.
        draw: what dropout depends on.
        begin: told what is being worked on.

    Returns:
        For each member, its mean loss per utterance of its part, detached.
    """
    largest = assignment[0][1][0]  # of the members of this step: a lone one has no teacher
    report: dict[str, Tensor] = {}
    for place, (batch, members) in enumerate(assignment):
        begin("shared", batch.seconds)
        draw.fix(f"{place}/shared")
        shared = task.shared(batch.waveforms, batch.lengths, batch.seeds)
        leaf = type(shared)(shared.x.detach().requires_grad_(shared.x.requires_grad), shared.lengths)
        teacher: CtcOutput | None = None
        for member in members:
            weights = objective.weights(member, largest)
            begin(member.name, batch.seconds)
            if weights.distillation and teacher is None:
                with torch.no_grad():
                    draw.fix(f"{place}/teacher")
                    teacher = task.recognise(leaf, largest)
            draw.fix(f"{place}/{member.name}")
            output = task.recognise(leaf, member)
            losses = task.losses(output, batch.labels, batch.label_lengths)
            loss = weights.loss * losses.sum()
            if weights.distillation:
                assert teacher is not None
                loss = loss + weights.distillation * task.divergences(output, teacher).sum()
            backward(loss * scale)
            report[member.name] = losses.detach().mean()
            if member == largest:
                teacher = CtcOutput(output.log_probs.detach(), output.lengths)
        begin("shared", 0.0)
        if leaf.x.grad is not None:
            shared.x.backward(leaf.x.grad)  # not `backward`: the gradient is scaled already
    return report


def touch_all(parameters: Iterator[Tensor]) -> Tensor:
    """Zero, as a function of every parameter: its backward pass synchronises all gradients, exactly once."""
    return sum((parameter.sum() * 0.0 for parameter in parameters), torch.zeros(()))
