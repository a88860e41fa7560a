"""What zeros cost in training: taking survival levels, masking weights, steps of four dimensions, memory."""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from allinone.report.interleaved import Timing, interleaved, median_ratio
from allinone.report.step_bench import Step, StepBench
from allinone.report.step_cases import FULL, IN_BATCH, IN_BATCH_APART, PLAIN, StepCase, step_cases
from allinone.sparsity import Criterion
from allinone.subnet import SubnetConfig
from allinone.tasks.speech import SpeechTask
from allinone.training import AdamW
from allinone.training.pruning import take_levels

LEVELS = "survival levels"


@dataclass(frozen=True)
class MaskCost:
    """One row: what costs, and in what.

    Args:
        part: what is measured.
        unit: what it is divided by.
        target: what its ratio should not be above.
        timings: of every round.
        units: of the unit in the same rounds.
        per: how many units it is spread over.
    """

    part: str
    unit: str
    target: float
    timings: tuple[Timing, ...]
    units: tuple[Timing, ...]
    per: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Plain values: medians over the rounds."""
        return {
            "part": self.part,
            "unit": self.unit,
            "process_ratio": median_ratio(self.timings, self.units, "process") / self.per,
            "wall_ratio": median_ratio(self.timings, self.units, "wall") / self.per,
            "target": self.target,
            "wall_seconds": statistics.median(timing.wall for timing in self.timings),
        }


@dataclass(frozen=True)
class MaskCosts:
    """What zeros cost.

    Args:
        rows: in time.
        level_bytes: in memory, for each weight that can be zero.
    """

    rows: tuple[MaskCost, ...]
    level_bytes: float


@dataclass(frozen=True, kw_only=True)
class MaskBench:
    """Timings in turns, on noise.

    Args:
        steps: the network, its space, and how its steps are measured.
        criterion: what survival levels are taken by.
        every: updates of a training between two times.
        batches: numbers of utterances with which a member is measured with and without its masks.

    Raises:
        ValueError: if the space has no sparsities, or there are no such numbers.
    """

    steps: StepBench
    criterion: Criterion
    every: int = 256
    batches: tuple[int, ...] = (4, 8, 16)

    def __post_init__(self) -> None:
        object.__setattr__(self, "batches", tuple(self.batches))
        if not self.steps.space.sparsities:
            raise ValueError(
                "A measurement of masks requires a space with sparsities; found none. Give space.sparsities, such as "
                "[0.5,0.8], and space.pattern."
            )
        if self.every < 1 or min(self.batches, default=0) < 1:
            raise ValueError(
                "A measurement of masks requires updates between two times and batches of utterances, 1 or more; "
                f"found every={self.every} and batches={list(self.batches)}. Give such numbers, as 256 and [4,8]."
            )

    @property
    def member(self) -> SubnetConfig:
        """Who is measured with and without masks: of all layers, units and bits, and with the most zeros."""
        space = self.steps.space
        zeros = space.smallest.layers[0]
        layers = tuple(replace(layer, sparsity=zeros.sparsity, group=zeros.group) for layer in space.largest.layers)
        return SubnetConfig(layers, space.largest.decoder)

    def measure(self, rounds: int, progress: Callable[[str], None] = lambda name: None) -> MaskCosts:
        """Times everything in every round."""
        network, task = self.steps.network(), self.steps.task(FULL)
        actions = {PLAIN: self.steps.run(network, None), LEVELS: self._levels(task)}
        cases = {case.name: case for case in step_cases(self.steps.space, quantised=True)}
        for name in (IN_BATCH_APART, IN_BATCH):
            actions[name] = self.steps.run(task, cases[name])
        for masked, dense, count in self._pairs():
            for name, member in ((dense, self.steps.space.largest), (masked, self.member)):
                actions[name] = self.steps.run(task, StepCase(name, (member,)), count)

        def forget_gradients() -> None:
            network.zero_grad(set_to_none=True)
            task.zero_grad(set_to_none=True)

        timings = interleaved(actions, rounds, forget_gradients, self.steps.synchronise, progress)
        rows = self._rows({name: tuple(measured) for name, measured in timings.items()})
        return MaskCosts(tuple(rows), level_bytes(task))

    def _rows(self, timings: dict[str, tuple[Timing, ...]]) -> Iterator[MaskCost]:
        levels, plain, training = timings[LEVELS], timings[PLAIN], timings[IN_BATCH]
        how = f"{LEVELS} by {type(self.criterion).__name__}"
        yield MaskCost(how, PLAIN, 1.0, levels, plain)
        yield MaskCost(f"{how}, every {self.every} updates", "training", 0.02, levels, training, self.every)
        yield MaskCost(IN_BATCH_APART, PLAIN, 0.95, timings[IN_BATCH_APART], plain)
        yield MaskCost(IN_BATCH, PLAIN, 1.15, training, plain)
        for masked, dense, _ in self._pairs():
            yield MaskCost(masked, dense, 1.03, timings[masked], timings[dense])

    def _pairs(self) -> Iterator[tuple[str, str, int]]:
        """Names of the steps with and without masks, and how many utterances they have."""
        for count in self.batches:
            what = f"{count} x {self.steps.seconds:g} s"
            yield f"{self.member.name}, {what}", f"{self.steps.space.largest.name}, {what}", count

    def _levels(self, task: SpeechTask) -> Step:
        batch, objective = self.steps.batch(), self.steps.objective
        optimizer = AdamW(lr=0.0).build(task)
        for weight in task.parameters():
            optimizer.state[weight]["exp_avg_sq"] = weight.detach().square()

        def take() -> None:
            batches = [batch] * self.criterion.batches
            take_levels(task, self.criterion, optimizer=optimizer, batches=batches, objective=objective)

        return take


def level_bytes(task: SpeechTask) -> float:
    """Bytes of survival levels for each weight that has one."""
    weights = [elastic.module.get_parameter(name) for _, elastic in task.parts() for name in elastic.prunable]
    levels = [level for _, elastic in task.parts() for level in elastic.levels.buffers()]
    return sum(level.nbytes for level in levels) / sum(weight.numel() for weight in weights)
