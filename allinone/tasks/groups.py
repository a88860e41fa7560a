"""Whether groups of inputs that share a scale fit a whole family: asked before anything is built or read."""

from collections.abc import Iterator
from dataclasses import replace
from math import gcd

from allinone.models import DecoderLayout, Layout
from allinone.quantization import Granularity, PerGroup
from allinone.subnet import FULL_PRECISION, SearchSpace, SubnetConfig, TensorSpec


def refuse_uneven_groups(
    layout: Layout, space: SearchSpace, attention: DecoderLayout | None, granularity: Granularity
) -> None:
    """Raises ValueError if groups do not divide the inputs of a matrix that some member stores with few bits.

    Args:
        layout: the family of encoders.
        space: its members.
        attention: sizes of the attention decoder; None if there is none.
        granularity: how many scales a weight has.
    """
    if not isinstance(granularity, PerGroup):
        return
    inputs = list(_inputs(layout, space, attention))
    uneven = next(((count, name) for count, name in inputs if count % granularity.size), None)
    if uneven is not None:
        common = gcd(*(count for count, _ in inputs))
        sizes = ", ".join(str(size) for size in range(common, 0, -1) if common % size == 0)
        raise ValueError(
            f"Groups of {granularity.size} inputs must divide the inputs of every matrix of few bits, in narrow "
            f"members, too; found {uneven[0]} inputs of {uneven[1]}. Choose another size (here all of these do: "
            f"{sizes}), or one scale for each channel."
        )


def _inputs(layout: Layout, space: SearchSpace, attention: DecoderLayout | None) -> Iterator[tuple[int, str]]:
    """Inputs and names of all matrices that are stored with few bits, of a first layer of each kind in the space."""
    members = list(space.uniform_members())
    specs: list[TensorSpec] = []
    for layer in dict.fromkeys(member.layers[0] for member in members):
        specs += (replace(spec, name=f"encoder.{spec.name}") for spec in layout.tensors(SubnetConfig((layer,))))
    if attention is not None:
        for layer in dict.fromkeys(member.decoder[0] for member in members if member.decoder):
            specs += attention.tensors((layer,), layout.dim, vocab_size=1)  # labels are no inputs
    return ((spec.shape[1], spec.name) for spec in specs if spec.bits < FULL_PRECISION and len(spec.shape) == 2)
