"""Which dimensions of a module's parameters shrink with a member."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Axis:
    dim: int
    of: Literal["width", "heads"] = "width"
    each: int = 1
