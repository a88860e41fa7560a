"""One artefact of several precisions: which members it holds, and what its manifest says of each."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allinone.export.manifest import Manifest
from allinone.export.tensors import Table, Weight
from allinone.export.weights_file import read_precision
from allinone.quantization import NESTED_BITS, Quantised
from allinone.subnet import FULL_PRECISION, SubnetConfig

if TYPE_CHECKING:  # a recogniser runs without the supernet's code
    from allinone.tasks.speech import SpeechTask


def precisions(task: "SpeechTask", subnet: SubnetConfig) -> dict[int, SubnetConfig]:
    """The members that an artefact of a member of 8 bits serves: itself, and those that differ in bits alone.

    Returns:
        By bits, the most first; only those that the supernet was trained for.

    Raises:
        ValueError: if the integers of the supernet are not nested, the member has other bits, there is no member of
            fewer bits, or precisions differ in more than integers (statistics of batch norms).
    """
    kind = type(task.quantizer).__name__
    if not task.quantizer.nested:
        raise ValueError(
            f"An artefact of several precisions requires a supernet of nested integers; found one trained with {kind}. "
            "Train with quantizer=nested, or leave nested=true out and export each precision by itself."
        )
    if {layer.bits for layer in (*subnet.layers, *subnet.decoder)} != {NESTED_BITS}:
        raise ValueError(
            f"An artefact of several precisions requires a member whose layers all have {NESTED_BITS} bits, which "
            f"contain the others; found {subnet.name}. Name {subnet.with_bits(NESTED_BITS).name}, or leave "
            "nested=true out."
        )
    if task.encoder.needs_statistics:
        raise ValueError(
            "An artefact of several precisions requires layer norm, as each precision has statistics of its own for "
            "batch norm; found a network with batch norm. Leave nested=true out and export each precision by itself."
        )
    widths = sorted({*task.space.bits} - {NESTED_BITS}, reverse=True)
    fewer = {bits: subnet.with_bits(bits) for bits in widths if bits < NESTED_BITS}
    members = {bits: member for bits, member in fewer.items() if member in task.space}
    if not members:
        asked = ", ".join(member.name for member in fewer.values()) or "none of fewer bits"
        raise ValueError(
            f"An artefact of several precisions requires that members like {subnet.name} of fewer bits were trained; "
            f"found a space without them ({asked}). Name another member, or leave nested=true out."
        )
    return {NESTED_BITS: subnet} | members


def nested_names(weights: Mapping[str, Weight], of_fewer_bits: Mapping[str, Weight]) -> Collection[str]:
    """The matrices whose bits are the member's: not those of a front end with a precision of its own."""
    return {name for name, weight in weights.items() if _bits(weight) != _bits(of_fewer_bits[name])}


def _bits(weight: Weight) -> int:
    return weight.bits if isinstance(weight, Quantised) else FULL_PRECISION


def describe_precisions(
    task: "SpeechTask", members: Mapping[int, SubnetConfig], file: Path, table: Table
) -> dict[str, dict[str, Any]]:
    """What a manifest says of each precision: the member, its size by the papers' rule, and what is read for it.

    Args:
        task: the supernet.
        members: by bits.
        file: of their weights, as written.
        table: how these are stored.
    """
    described = {}
    for bits, member in members.items():
        size, reading = task.cost(member).bytes, read_precision(file, table, bits)
        described[str(bits)] = {
            "member": member.name,
            "bytes": round(size),
            "ratio": task.full_bytes / size,
            "bytes_read": reading.bytes_read,
            "sha256": reading.sha256,
        }
    return described


def at_precision(manifest: Manifest, bits: int, folder: Path) -> Manifest:
    """The manifest of what an artefact is when it is read with so many bits; error rates are those of 8 bits alone.

    Raises:
        ValueError: if it does not hold that precision.
    """
    held = manifest.nested or {}
    if type(bits) is int and str(bits) in held:
        of_it = held[str(bits)]
        results = manifest.results if of_it["member"] == manifest.member else None
        return replace(manifest, member=of_it["member"], bytes=of_it["bytes"], ratio=of_it["ratio"], results=results)
    subnet = SubnetConfig.parse(manifest.member)
    if not held and {layer.bits for layer in (*subnet.layers, *subnet.decoder)} == {bits}:
        return manifest
    found = ", ".join(held) if held else f"{manifest.member} alone, whose integers are not nested"
    others = f"Ask for one of {found}" if held else "Leave bits out"
    raise ValueError(
        f"Reading {folder} with {bits!r} bits requires that it holds this precision; found {found}. {others}, or train "
        "with quantizer=nested and these bits in the space, and export with nested=true."
    )
