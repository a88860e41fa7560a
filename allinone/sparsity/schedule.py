"""When survival levels are taken: frozen values, pure functions of the step."""

from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    """Tells before which updates survival levels are taken anew; a resumed run does what the first would have done.

    Until the first such step, weights have the levels that they began with.
    """

    @property
    def first(self) -> int:
        """The first step at which it is due. At step 0 no update has been made, and Adam has no moments yet."""
        ...

    def due(self, step: int) -> bool:
        """Whether levels are taken after ``step`` updates, before the next one."""
        ...


@dataclass(frozen=True)
class OneShot:
    """Once, before the first update (USM-Lite, section 2.3)."""

    @property
    def first(self) -> int:
        """0."""
        return 0

    def due(self, step: int) -> bool:
        """At step 0."""
        return step == 0


@dataclass(frozen=True)
class FewShot:
    """Every so many updates at the beginning, and never again; 1,000 and 1 are the 1k-shot of USM-Lite (section 2.3).

    Args:
        steps: the last step that may be due.
        every: updates between two times.

    Raises:
        ValueError: unless both are whole numbers, 1 <= every <= steps.
    """

    steps: int
    every: int = 1

    def __post_init__(self) -> None:
        if any(type(count) is not int for count in (self.steps, self.every)) or not 1 <= self.every <= self.steps:
            raise ValueError(
                "FewShot requires whole numbers of updates with 1 <= every <= steps; found "
                f"every={self.every!r} and steps={self.steps!r}. Give such numbers, as 1 and 1000."
            )

    @property
    def first(self) -> int:
        """After the first ``every`` updates."""
        return self.every

    def due(self, step: int) -> bool:
        """At multiples of ``every``, from the first to the last that is no more than ``steps``."""
        return 0 < step <= self.steps and step % self.every == 0


@dataclass(frozen=True)
class EveryK:
    """Every so many updates, to the end (Omni-sparsity, section 3.2: at each pruning step).

    Args:
        every: updates between two times.

    Raises:
        ValueError: unless it is a whole number of 1 or more.
    """

    every: int

    def __post_init__(self) -> None:
        if type(self.every) is not int or self.every < 1:
            raise ValueError(
                f"EveryK requires a whole number of updates, 1 or more; found every={self.every!r}. "
                "Give such a number, as 256."
            )

    @property
    def first(self) -> int:
        """After the first ``every`` updates."""
        return self.every

    def due(self, step: int) -> bool:
        """At multiples of ``every``."""
        return step > 0 and step % self.every == 0
