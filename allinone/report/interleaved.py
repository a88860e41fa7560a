"""Timing of several actions in turns, so that what else happens on the machine meets all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

Name = TypeVar("Name")


@dataclass(frozen=True)
class Timing:
    """What one call of an action took.

    Args:
        wall: seconds on the clock.
        process: seconds of processor time, of all threads of this process together.
    """

    wall: float
    process: float


def interleaved(
    actions: Mapping[Name, Callable[[], object]],
    rounds: int,
    prepare: Callable[[], None] = lambda: None,
    synchronise: Callable[[], None] = lambda: None,
    progress: Callable[[Name], None] = lambda name: None,
) -> dict[Name, list[Timing]]:
    """Calls every action once a round; the round before the first is not counted.

    Args:
        actions: what to time, by name.
        rounds: how often, at least once.
        prepare: called before each action, untimed.
        synchronise: waits until the device has done what it was given.
        progress: told the name of each action before it is called.

    Raises:
        ValueError: if there are no rounds.
    """
    if rounds < 1:
        raise ValueError(f"A measurement requires at least 1 round, found {rounds}; ask for 1 or more.")
    timings: dict[Name, list[Timing]] = {name: [] for name in actions}
    for number in range(rounds + 1):
        for name, action in actions.items():
            progress(name)
            prepare()
            synchronise()
            wall, process = time.perf_counter(), time.process_time()
            action()
            synchronise()
            if number:
                timings[name].append(Timing(time.perf_counter() - wall, time.process_time() - process))
    return timings


def median_ratio(timings: Sequence[Timing], reference: Sequence[Timing], kind: Literal["wall", "process"]) -> float:
    """The median over the rounds of one action's time against another's in the same round.

    Args:
        timings: of one action.
        reference: of another one, in the same rounds.
        kind: of time.
    """
    pairs = zip(timings, reference, strict=True)
    return statistics.median(getattr(timing, kind) / getattr(base, kind) for timing, base in pairs)
