"""Whether the blocks or groups of a pattern of zeros fit a whole family: asked before anything is built or read."""

from collections.abc import Iterator
from dataclasses import replace
from math import gcd

from allinone.models import DecoderLayout, Layout
from allinone.sparsity import misfit
from allinone.subnet import Pattern, SearchSpace, SubnetConfig, TensorSpec


def refuse_uneven_patterns(layout: Layout, space: SearchSpace, attention: DecoderLayout | None) -> None:
    """Raises ValueError if blocks or groups do not divide a matrix of some member that has zeros.

    Args:
        layout: the family of encoders.
        space: its members.
        attention: sizes of the attention decoder; None if there is none.
    """
    pattern = space.pattern or (space.decoder and space.decoder.pattern)
    if pattern is None:
        return
    specs = list(_matrices(layout, space, attention))
    for spec in specs:
        wrong = misfit(pattern, spec.shape)
        if wrong is not None:
            raise ValueError(
                "A pattern of zeros must fit every matrix of the layers, in members with fewer units and heads, too; "
                f"found that {wrong} of {spec.name}. Choose another (here {_fitting(pattern, specs)}), or other widths "
                "and heads."
            )


def _matrices(layout: Layout, space: SearchSpace, attention: DecoderLayout | None) -> Iterator[TensorSpec]:
    """The matrices that can have zeros, of a first layer of each kind in the space."""
    members = list(space.uniform_members())
    if space.pattern is not None:
        for layer in dict.fromkeys(member.layers[0] for member in members):
            for spec in layout.tensors(SubnetConfig((layer,))):
                if spec.prunable:
                    yield replace(spec, name=f"encoder.{spec.name}")
    if attention is not None and space.decoder is not None and space.decoder.pattern is not None:
        for layer in dict.fromkeys(member.decoder[0] for member in members):
            tensors = attention.tensors((layer,), layout.dim, vocab_size=1)  # labels are no part of a layer
            yield from (spec for spec in tensors if spec.prunable)


def _fitting(pattern: Pattern, specs: list[TensorSpec]) -> str:
    """Which blocks or groups would fit."""
    rows, columns = (_divisors(gcd(*(spec.shape[axis] for spec in specs))) for axis in (0, 1))
    if pattern.group is None:
        return f"blocks of {_either(rows)} rows and {_either(columns)} columns fit"
    groups = [size for size in columns if 2 <= size <= 16]
    return f"groups of {_either(groups)} fit" if groups else "no groups fit"


def _divisors(number: int) -> list[int]:
    return [size for size in range(number, 0, -1) if number % size == 0]


def _either(sizes: list[int]) -> str:
    return " or ".join(map(str, sizes))
