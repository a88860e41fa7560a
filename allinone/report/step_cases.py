"""What a training step is measured as: which members share it, and how."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from allinone.subnet import FULL_PRECISION, LayerConfig, SearchSpace, SubnetConfig

SANDWICH = "sandwich of 3, each on the whole batch"
IN_BATCH = "in-batch sandwich of 4"
IN_BATCH_APART = f"{IN_BATCH}, no distillation"
PLAIN = "plain step"
FULL, QUANTISED, OWN = "full", "quantised", "the member's"

Choice = Callable[[tuple[int, ...]], int]  # of the values of a dimension, the smallest first


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
    space with heads, narrow members have the fewest of them, too, and all others the most. Of a space with sparsities,
    members of the coarsest precision have the most zeros, and all others but the largest the fewest. Of a space with
    scale groups, members of the coarsest precision have the fewest scales, and all others the most. Of a space with
    decoders, a member's decoder is to all decoders what its encoder is to all encoders.

    Args:
        space: the ends of depth, width and heads, and the precisions.
        quantised: whether the members have the finest and the coarsest precision of the space, in turn; otherwise all
            are at full precision.
    """

    def layers(part: SearchSpace, depth: Choice, width: Choice, precision: Choice) -> tuple[LayerConfig, ...]:
        bits = precision(part.bits) if quantised else FULL_PRECISION
        heads = (_least if width is _least else _most)(part.heads) if part.heads else None
        sparsity = 0.0
        if part.sparsities and not depth is width is precision is _most:
            sparsity = part.sparsities[-1 if precision is _least else 0]
        group = part.pattern.group if part.pattern is not None and sparsity else None
        inputs = None
        if part.scale_groups and bits < FULL_PRECISION:
            inputs = part.scale_groups[0 if precision is _least else -1]
        return (LayerConfig(width(part.widths), bits, heads, sparsity, group, inputs),) * depth(part.depths)

    def member(*choices: Choice) -> SubnetConfig:
        return SubnetConfig(layers(space, *choices), () if space.decoder is None else layers(space.decoder, *choices))

    largest, smallest = member(_most, _most, _most), member(_least, _least, _least)
    middle, shallow = member(_halfway, _halfway_by_eights, _most), member(_least, _most, _least)
    for alone in (largest, member(_most, _least, _least), shallow, smallest):
        yield StepCase(f"{alone.name} alone", (alone,))
    four = (largest, smallest, middle, shallow)
    yield StepCase(SANDWICH, four[:3])
    yield StepCase(IN_BATCH_APART, four, in_batch=True, distillation=False)
    yield StepCase(IN_BATCH, four, in_batch=True)


def _least(values: tuple[int, ...]) -> int:
    return values[0]


def _most(values: tuple[int, ...]) -> int:
    return values[-1]


def _halfway(values: tuple[int, ...]) -> int:
    return (values[0] + values[-1]) // 2


def _halfway_by_eights(values: tuple[int, ...]) -> int:
    return (values[0] + values[-1]) // 16 * 8
