"""What a training step is measured as: which members share it, and how."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from allinone.subnet import FULL_PRECISION, SearchSpace, SubnetConfig

SANDWICH = "sandwich of 3, each on the whole batch"
IN_BATCH = "in-batch sandwich of 4"
PLAIN = "plain step"
FULL, QUANTISED, OWN = "full", "quantised", "the member's"


class Kind(NamedTuple):
    """A row of the measurement.

    Attributes:
        case: name of the step.
        weights: precision of the encoder's layers, ``full`` or ``quantised``.
        front_end: precision of the subsampling: ``full`` runs it once for all members, ``the member's`` for each.
    """

    case: str
    weights: str = FULL
    front_end: str = FULL


@dataclass(frozen=True)
class StepCase:
    """One kind of step.

    Args:
        name: what it is, for people.
        members: who trains in it, the largest first.
        in_batch: whether the members share the batch in equal parts; otherwise each sees all of it.
        distillation: whether the others learn from the largest.
    """

    name: str
    members: tuple[SubnetConfig, ...]
    in_batch: bool = False
    distillation: bool = True

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError("A step requires a member, found none; name one.")


def step_cases(space: SearchSpace, quantised: bool) -> Iterator[StepCase]:
    """The steps whose cost tells what one pass costs.

    The members are those of All-in-one's and Omni-sparsity's steps: the largest, the smallest, one halfway between
    them in depth and width (whether or not it belongs to the space), and the one of least depth at full width. Of a
    space with heads, narrow members have the fewest of them, too, and all others the most.

    Args:
        space: the ends of depth, width and heads, and the precisions.
        quantised: whether the members have the finest and the coarsest precision of the space, in turn; otherwise all
            are at full precision.
    """
    (few, many), (narrow, wide) = (space.depths[0], space.depths[-1]), (space.widths[0], space.widths[-1])
    finest, coarsest = (space.bits[-1], space.bits[0]) if quantised else (FULL_PRECISION, FULL_PRECISION)
    fewest, most = (space.heads[0], space.heads[-1]) if space.heads else (None, None)
    largest = SubnetConfig.uniform(many, wide, finest, most)
    smallest = SubnetConfig.uniform(few, narrow, coarsest, fewest)
    middle = SubnetConfig.uniform((few + many) // 2, (narrow + wide) // 16 * 8, finest, most)
    shallow = SubnetConfig.uniform(few, wide, coarsest, most)
    for member in (largest, SubnetConfig.uniform(many, narrow, coarsest, fewest), shallow, smallest):
        yield StepCase(f"{member.name} alone", (member,))
    four = (largest, smallest, middle, shallow)
    yield StepCase(SANDWICH, four[:3])
    yield StepCase("in-batch sandwich of 4, no distillation", four, in_batch=True, distillation=False)
    yield StepCase(IN_BATCH, four, in_batch=True)
