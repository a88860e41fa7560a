"""How long a training waits for its data."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from allinone.data import Batch


@dataclass(frozen=True)
class LoadingCost:
    """Where the time of some steps went.

    Args:
        steps: how many were counted.
        waiting: seconds in which the next batch was not there yet.
        stepping: seconds of the steps themselves.
        audio: seconds of speech in their batches.
    """

    steps: int
    waiting: float
    stepping: float
    audio: float

    @property
    def share(self) -> float:
        """Waiting, as a share of all time."""
        return self.waiting / (self.waiting + self.stepping)


def loading_cost(batches: Iterable[Batch], step: Callable[[Batch, int], None], steps: int, skip: int) -> LoadingCost:
    """Takes batches from a loader and works on them.

    Args:
        batches: at least ``steps + skip`` of them.
        step: what is done with a batch, given its number.
        steps: how many are counted, at least one.
        skip: steps before these, in which the loader's processes start.

    Raises:
        ValueError: if no step is counted.
    """
    if steps < 1 or skip < 0:
        raise ValueError(f"A measurement requires at least 1 step; found steps={steps}, skip={skip}. Ask for more.")
    spent: list[tuple[float, float, float]] = []
    stream = iter(batches)
    for number in range(skip + steps):
        asked = time.perf_counter()
        batch = next(stream)
        got = time.perf_counter()
        step(batch, number)
        spent.append((got - asked, time.perf_counter() - got, batch.seconds))
    waiting, stepping, audio = map(sum, zip(*spent[skip:], strict=True))
    return LoadingCost(steps, waiting, stepping, audio)
