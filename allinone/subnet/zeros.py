"""Zeros as a sub-network states them: which sparsities there are, their names, and what a pattern must tell."""

from typing import Any, Protocol

LEVELS = 200  # steps of half a per cent, as many as there are survival levels (allinone.sparsity)
_EXACT = 1e-9


class Pattern(Protocol):
    """How the zeros of a matrix ``(outputs, inputs)`` lie, as :class:`allinone.sparsity.Pattern` has it."""

    @property
    def group(self) -> int | None:
        """The M of N:M; None for patterns without such groups."""
        ...

    @property
    def unit(self) -> tuple[int, int]:
        """Outputs and inputs that its blocks, or groups, take."""
        ...

    def pooled(self, scores: Any) -> Any:
        """A score for each block; of tensors, which are unknown here."""
        ...


def threshold_of(sparsity: float, group: int | None) -> int:
    """The survival level below which weights of that sparsity are dropped: 200 steps, or M - N of N:M.

    Raises:
        ValueError: if no such number of weights can be dropped.
    """
    if group is None:
        if not 0 <= sparsity < 1 or abs(sparsity * LEVELS - round(sparsity * LEVELS)) > _EXACT:
            raise ValueError(
                f"A sparsity must be a multiple of 0.005, from 0 to below 1; found {sparsity}. Give such a share of "
                "zeros, as 0.5."
            )
        return round(sparsity * LEVELS)
    if type(group) is not int or not 2 <= group <= 16:
        raise ValueError(
            f"N:M requires groups of a whole number of 2 to 16 weights (M); found {group!r}. Give such a number, as 4."
        )
    if not 0 < sparsity < 1 or abs(sparsity * group - round(sparsity * group)) > _EXACT:
        possible = ", ".join(str(dropped / group) for dropped in range(1, group))
        raise ValueError(
            f"The sparsity of N:M must drop a whole number of every {group} weights, one or more, and keep some; found "
            f"{sparsity}. Give one of {possible}, or leave the group out."
        )
    return round(sparsity * group)


def zeros_name(threshold: int, group: int | None) -> str:
    """What a name says about zeros: ``s62.5`` is 62.5 per cent, ``2of4`` keeps 2 of 4 weights; nothing if dense."""
    if not threshold:
        return ""
    return f"s{threshold * 100 / LEVELS:g}" if group is None else f"{group - threshold}of{group}"


def sparsity_name(sparsity: float, group: int | None) -> str:
    """The same of a sparsity, for messages; ``0`` if dense."""
    return zeros_name(threshold_of(sparsity, group), group) if sparsity else "0"
