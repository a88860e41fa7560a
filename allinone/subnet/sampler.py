"""Samplers: which members of the search space train in a step, as pure functions of (seed, step, rank)."""

import random
from dataclasses import dataclass
from typing import Protocol

from allinone.subnet.config import SubnetConfig
from allinone.subnet.growth import CubicGrowth
from allinone.subnet.space import SearchSpace
from allinone.subnet.warm_up import WarmUp


class Sampler(Protocol):
    """Chooses the members of a training step.

    Nothing is remembered from step to step: whoever resumes at step N draws what step N would have drawn.
    """

    @property
    def space(self) -> SearchSpace:
        """The space that is sampled from."""
        ...

    @property
    def in_batch(self) -> bool:
        """Whether each member trains on its own part of the batch (True) or every member on the whole batch."""
        ...

    @property
    def watched(self) -> tuple[SubnetConfig, ...]:
        """Whose error rates tell how a training goes: the largest and the smallest of the members that it trains."""
        ...

    def members(self, step: int, rank: int) -> tuple[SubnetConfig, ...]:
        """The members of a step on one rank: the largest first (the teacher), random ones last."""
        ...


@dataclass(frozen=True)
class SandwichSampler:
    """The sandwich rule: the largest, the smallest and a few random members in every step.

    With ``in_batch`` this is the in-batch sandwich of Omni-sparsity (section 2.2): the batch is cut into equal parts,
    one for each member, so that a step costs about as much as one of a single network.

    Args:
        space: what to sample from.
        num_random: random members besides the largest and the smallest, different from both and from each other.
        in_batch: whether each member trains on its own part of the batch.
        same_on_all_ranks: whether all ranks draw the same random members.
        seed: of the draws.
        warm_up: which part of the space is open at a step: its smallest and random members train beside the largest.
            None leaves it out: the space is open from the beginning.
        growth: how much of their sparsity the members of a step have; None: all of it from the beginning.
    """

    space: SearchSpace
    num_random: int = 1
    in_batch: bool = False
    same_on_all_ranks: bool = True
    seed: int = 0
    warm_up: WarmUp | None = None
    growth: CubicGrowth | None = None

    def __post_init__(self) -> None:
        if self.num_random < 0:
            raise ValueError(f"num_random must be 0 or more; found {self.num_random}. Give a number of random members.")

    @property
    def watched(self) -> tuple[SubnetConfig, ...]:
        """The largest and the smallest member, also while the smallest is not trained yet, or not at its sparsity."""
        return self.space.ends

    def members(self, step: int, rank: int) -> tuple[SubnetConfig, ...]:
        """The largest, the smallest, and the random members of this step."""
        space = self.space if self.warm_up is None else self.warm_up.space(step, self.space)
        chosen = dict.fromkeys(space.ends)  # an ordered set
        generator = random.Random(f"{self.seed}/{step}/{0 if self.same_on_all_ranks else rank}")
        wanted = min(len(chosen) + self.num_random, space.count())
        while len(chosen) < wanted:
            chosen.setdefault(space.sample(generator))
        return _grown(self.growth, tuple(chosen), step, self.space)


@dataclass(frozen=True)
class GridSampler:
    """Every uniform member in every step.

    Args:
        space: the space of the supernet.
        in_batch: whether each member trains on its own part of the batch.
        growth: how much of their sparsity the members of a step have; None: all of it from the beginning.
    """

    space: SearchSpace
    in_batch: bool = False
    growth: CubicGrowth | None = None

    @property
    def watched(self) -> tuple[SubnetConfig, ...]:
        """The largest and the smallest member."""
        return self.space.ends

    def members(self, step: int, rank: int) -> tuple[SubnetConfig, ...]:
        """All uniform members, the largest first."""
        return _grown(self.growth, tuple(self.space.uniform_members()), step, self.space)


@dataclass(frozen=True)
class FixedSampler:
    """One member in every step: trains a stand-alone twin through the same code.

    Args:
        space: the space of the supernet.
        subnet: the name of the member; ``largest`` and ``smallest`` are names too.
        growth: how much of its sparsity it has at a step; None: all of it from the beginning.
    """

    space: SearchSpace
    subnet: str = "largest"

    in_batch: bool = False
    growth: CubicGrowth | None = None

    def __post_init__(self) -> None:
        self.space.parse(self.subnet)

    @property
    def watched(self) -> tuple[SubnetConfig, ...]:
        """The one member."""
        return (self.space.parse(self.subnet),)

    def members(self, step: int, rank: int) -> tuple[SubnetConfig, ...]:
        """The one member."""
        return _grown(self.growth, (self.space.parse(self.subnet),), step, self.space)


def _grown(
    growth: CubicGrowth | None, members: tuple[SubnetConfig, ...], step: int, space: SearchSpace
) -> tuple[SubnetConfig, ...]:
    """Members as far as their sparsity has grown."""
    return members if growth is None else growth.cap(members, step, space)
