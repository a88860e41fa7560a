"""Compression warm-up: the search space opens one dimension after another (progressive shrinking)."""

from dataclasses import dataclass, replace

from allinone.subnet.config import FULL_PRECISION
from allinone.subnet.space import SearchSpace

_DIMENSIONS = {  # and their values in a space
    "bits": "bits",
    "scale_groups": "scale_groups",
    "heads": "heads",
    "width": "widths",
    "depth": "depths",
    "sparsity": "sparsities",
}


@dataclass(frozen=True)
class WarmUp:
    """Trains the largest member alone at first, and brings in smaller ones one dimension after another.

    After the progressive shrinking of Once-for-all (Cai et al. 2020). The steps are divided equally: with
    three dimensions the first quarter has only the largest member; then the first dimension opens, after half of the
    steps the second as well, in the last quarter the third. A decoder's dimension opens along with the encoder's. Until
    sparsity opens all members are dense, also those that the whole space has with zeros only.

    Args:
        steps: until the warm-up is over; a sampler counts batches.
        order: in which the dimensions open, of bits, scale_groups, heads, width, depth and sparsity; one that is left
            out is open from the beginning.
    """

    steps: int
    order: tuple[str, ...] = ("bits", "width", "depth")

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", tuple(self.order))
        if self.steps < 1:
            raise ValueError(
                f"A warm-up must take at least 1 step; found {self.steps}. Give a number of steps, or leave the "
                "warm-up out."
            )
        if not self.order or len(set(self.order)) < len(self.order) or not set(self.order) <= _DIMENSIONS.keys():
            raise ValueError(
                f"The order of a warm-up must name some of {', '.join(_DIMENSIONS)}, each once; found "
                f"{', '.join(map(str, self.order)) or 'none'}. Correct it, or leave the warm-up out."
            )

    def space(self, step: int, space: SearchSpace) -> SearchSpace:
        """The part of a space that is open at a step; the largest member of both is the same."""
        opened = len(self.order) if step >= self.steps else step * (len(self.order) + 1) // self.steps
        return _without(space, [_DIMENSIONS[dimension] for dimension in self.order[opened:]])


def _without(space: SearchSpace, closed: list[str]) -> SearchSpace:
    """A space whose closed dimensions, those of its decoder included, have the value of the largest member only."""
    only = {dimension: getattr(space, dimension)[-1:] for dimension in closed}
    if "sparsities" in only and space.sparsities:
        only["sparsities"] = (0.0,)
    if only.get("bits") == (FULL_PRECISION,):
        only["scale_groups"] = ()
    return replace(space, **only, decoder=None if space.decoder is None else _without(space.decoder, closed))
