"""Whether groups of inputs that share a scale fit a whole family: asked before anything is built or read."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import gcd

from allinone.models import DecoderLayout, Layout
from allinone.quantization import PerGroup, Quantizer, grouped
from allinone.subnet import FULL_PRECISION, SearchSpace, SubnetConfig, TensorSpec


def refuse_uneven_groups(
    layout: Layout, space: SearchSpace, attention: DecoderLayout | None, quantizer: Quantizer
) -> None:
    """Raises ValueError if groups do not divide the inputs of a matrix that some member stores with few bits.

    Or if members have groups of their own, and the quantiser learns scales.

    Args:
        layout: the family of encoders.
        space: its members.
        attention: sizes of the attention decoder; None if there is none.
        quantizer: how weights are rounded.
    """
    for part in (space, space.decoder):
        for inputs in () if part is None else part.scale_groups:
            grouped(quantizer, inputs)
    size = quantizer.granularity.size if isinstance(quantizer.granularity, PerGroup) else None
    of_run = "or one scale for each channel", "every matrix of few bits"
    of_members = "or leave it out of space.scale_groups", "every matrix of the layers of few bits"
    matrices = list(_matrices(layout, space, attention))
    _refuse_uneven([(spec, size) for spec in matrices if spec.inputs_per_scale is None], *of_run)
    own = [(spec, spec.inputs_per_scale) for spec in matrices if spec.inputs_per_scale is not None]
    _refuse_uneven(own, *of_members)


def _refuse_uneven(groups: Sequence[tuple[TensorSpec, int | None]], instead: str, what: str) -> None:
    """Raises ValueError if a matrix has inputs that its groups do not divide."""
    for spec, size in groups:
        if size is not None and spec.shape[1] % size:
            common = gcd(*(spec.shape[1] for spec, _ in groups))
            sizes = ", ".join(str(size) for size in range(common, 0, -1) if common % size == 0)
            raise ValueError(
                f"Groups of {size} inputs must divide the inputs of {what}, in narrow members, too; found "
                f"{spec.shape[1]} inputs of {spec.name}. Choose another size (here all of these do: {sizes}), "
                f"{instead}."
            )


def _matrices(layout: Layout, space: SearchSpace, attention: DecoderLayout | None) -> Iterator[TensorSpec]:
    """All matrices that are stored with few bits, of a first layer of each kind in the space."""
    members = list(space.uniform_members())
    specs: list[TensorSpec] = []
    for layer in dict.fromkeys(member.layers[0] for member in members):
        specs += (replace(spec, name=f"encoder.{spec.name}") for spec in layout.tensors(SubnetConfig((layer,))))
    if attention is not None:
        for layer in dict.fromkeys(member.decoder[0] for member in members if member.decoder):
            specs += attention.tensors((layer,), layout.dim, vocab_size=1)  # labels are no inputs
    return (spec for spec in specs if spec.bits < FULL_PRECISION and len(spec.shape) == 2)
