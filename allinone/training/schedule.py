"""Learning-rate schedules: factors of the peak rate as pure functions of the step."""

import math
from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    """A factor for each step of a run of so many steps."""

    def factor(self, step: int, max_steps: int) -> float:
        """Factor of the peak learning rate at a step, counted from 0."""
        ...


def _warm_up(step: int, warmup_steps: float) -> float:
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0


@dataclass(frozen=True)
class LinearDecay:
    """Linear warm-up, then linear decay to zero (wav2vec 2.0 fine-tuning in All-in-one, section 3.1).

    Args:
        warmup: share of all steps.
    """

    warmup: float = 0.1

    def factor(self, step: int, max_steps: int) -> float:
        """Factor at a step."""
        warmup_steps = self.warmup * max_steps
        return min(_warm_up(step, warmup_steps), (max_steps - step) / max(1.0, max_steps - warmup_steps))


@dataclass(frozen=True)
class CosineDecay:
    """Linear warm-up, then half a cosine down to a share of the peak.

    Args:
        warmup: share of all steps.
        floor: share of the peak at the end.
    """

    warmup: float = 0.1
    floor: float = 0.0

    def factor(self, step: int, max_steps: int) -> float:
        """Factor at a step."""
        warmup_steps = self.warmup * max_steps
        if step < warmup_steps:
            return _warm_up(step, warmup_steps)
        progress = (step - warmup_steps) / max(1.0, max_steps - warmup_steps)
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


@dataclass(frozen=True)
class InverseSquareRoot:
    """Linear warm-up, then decay with the square root of the step (Vaswani et al. 2017, Eq. 3).

    Args:
        warmup_steps: number of steps.
    """

    warmup_steps: int = 25_000

    def factor(self, step: int, max_steps: int) -> float:
        """Factor at a step."""
        return min(_warm_up(step, self.warmup_steps), (self.warmup_steps / (step + 1)) ** 0.5)


@dataclass(frozen=True)
class Constant:
    """Linear warm-up, then the peak.

    Args:
        warmup_steps: number of steps.
    """

    warmup_steps: int = 0

    def factor(self, step: int, max_steps: int) -> float:
        """Factor at a step."""
        return _warm_up(step, self.warmup_steps)
