"""Weights as two streams of a file, and back: one entry of a table says how each weight is stored.

A file of weights holds at most two tensors, each of one dimension: ``packed`` (uint8) and ``floats`` (float32). The
weights follow each other in them without gaps, in the order of the table. (A tensor for each weight would make the
header of a small network of few bits larger than 2 % of the file: it takes some 6 kB a layer.) An entry of the table is

* ``{"encoding": "plain", "shape": [...]}``: the weight stands in ``floats``;
* ``{"encoding": "packed", "shape": [...], "bits": b, "scale": [...]}``: the weight is its integers times its scale;
  the integers stand in ``packed`` (:mod:`allinone.quantization.packing`), the scale, of the shape given, in ``floats``;
  along each dimension there is one scale for all entries, or one for each;
* ``{"encoding": "grouped", ...}``: the same, with scales that cover several consecutive entries, but not all of them
  (:class:`allinone.quantization.Quantised`); their number divides that of the entries;
* ``{"encoding": "planes", "shape": [...], "bits": 8, "scale": [...]}``: the same as either, but the integers stand in
  bit planes, the most significant first (:mod:`allinone.quantization.planes`): fewer bits are read from the beginning;
* ``{"encoding": "sparse", "values": v, "pattern": p, "threshold": t, "kept": n, "index": i, ...}``: a matrix whose
  weights are zero but for n of them. ``v`` is one of the above, whose fields follow; the n weights, or their integers,
  stand where all would stand, row by row, and after them, in ``packed``, which ones they are, written in the way i
  (:mod:`allinone.sparsity.packing`). ``p`` is [rows, columns] of the blocks that are kept as one, or M: of each M
  entries of a row M - t are kept. The scales are those of the whole matrix.

Another way of storing is another encoding: readers refuse the encodings that they do not know.
"""

from collections.abc import Collection, Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from allinone.export.zeros import Zeros, without_zeros
from allinone.quantization import Quantised, coarser
from allinone.quantization.packing import pack, packed_bytes, unpack
from allinone.quantization.planes import PLANES, pack_planes, planes_bytes, planes_needed, unpack_planes
from allinone.sparsity import Kept

Weight = Tensor | Quantised
Table = dict[str, dict[str, Any]]
DENSE: Mapping[str, Kept] = MappingProxyType({})

PACKED, FLOATS = "packed", "floats"
_DTYPES = {PACKED: torch.uint8, FLOATS: torch.float32}


def encode(
    weights: Mapping[str, Weight], kept: Mapping[str, Kept] = DENSE, nested: Collection[str] = ()
) -> tuple[dict[str, Tensor], Table]:
    """The tensors that a file holds for these weights, and the table that describes them.

    Args:
        weights: by name, zeros included.
        kept: for each matrix of which weights were dropped, which ones were not.
        nested: the matrices whose integers, of 8 bits, are stored in planes.

    Raises:
        ValueError: if a weight or a scale is not finite.
    """
    assert kept.keys() <= weights.keys()
    streams: dict[str, list[Tensor]] = {PACKED: [], FLOATS: []}
    table: Table = {}
    for name, weight in weights.items():
        values = weight.integers if isinstance(weight, Quantised) else weight
        entry: dict[str, Any] = {"encoding": "plain", "shape": list(values.shape)}
        if isinstance(weight, Quantised):
            encoding = "packed" if _broadcasts(weight.scale.shape, values.shape) else "grouped"
            encoding = "planes" if name in nested else encoding
            entry |= {"encoding": encoding, "bits": weight.bits, "scale": list(weight.scale.shape)}
        index = None
        if name in kept:
            values, index, of_zeros = without_zeros(name, values, kept[name])
            entry |= {"encoding": "sparse", "values": entry["encoding"]} | of_zeros
        if isinstance(weight, Quantised):
            streams[PACKED].append(pack_planes(values) if name in nested else pack(values, weight.bits))
            streams[FLOATS].append(_flat(name, weight.scale))
        else:
            streams[FLOATS].append(_flat(name, values))
        if index is not None:
            streams[PACKED].append(index)
        table[name] = entry
    return {stream: torch.cat(pieces) for stream, pieces in streams.items() if pieces}, table


def decode(tensors: Mapping[str, Any], table: Table, bits: int = PLANES) -> dict[str, Weight]:
    """The weights that :func:`encode` turned into these tensors and this table.

    Args:
        tensors: of a file; or what reads slices of them only when it is asked for them.
        table: how each weight is stored.
        bits: of the integers that are wanted of those that are stored in planes.

    Raises:
        ValueError: if the table does not describe exactly these tensors.
    """
    streams = {stream: _Stream(stream, tensors) for stream in _DTYPES}
    weights = {name: _decoded(name, entry, streams, bits) for name, entry in table.items()}
    unknown = tensors.keys() - _DTYPES.keys()
    if unknown or not all(stream.exhausted for stream in streams.values()):
        raise ValueError(
            "The weights must be exactly those of the table; found more of them in "
            f"{', '.join(sorted(unknown)) or 'the file'}. Export the member again."
        )
    return weights


def payload(tensors: Mapping[str, Tensor]) -> int:
    """Bytes of all tensors together."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


class _Stream:
    """A tensor of one dimension that is read from its beginning to its end."""

    def __init__(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        self.name, self.position = name, 0
        self.values = tensors.get(name, torch.empty(0, dtype=_DTYPES[name]))
        if self.values.dtype != _DTYPES[name] or self.values.dim() != 1:
            raise ValueError(
                f"The stream {name} must be {_DTYPES[name]} of one dimension; found {self.values.dtype} of shape "
                f"{tuple(self.values.shape)}. Export the member again."
            )

    @property
    def exhausted(self) -> bool:
        return self.position == len(self.values)

    def take(self, count: int, reader: str) -> Tensor:
        """The next ``count`` values."""
        self.skip(count, reader)
        return self.values[self.position - count : self.position]

    def skip(self, count: int, reader: str) -> None:
        """Goes on without reading them."""
        if self.position + count > len(self.values):
            left = len(self.values) - self.position
            raise ValueError(
                f"{reader} must have {count} values in the stream {self.name}; found {left} left. "
                "Export the member again."
            )
        self.position += count


def _decoded(name: str, entry: Mapping[str, Any], streams: Mapping[str, _Stream], wanted: int) -> Weight:
    encoding, shape = entry.get("encoding"), _shape(name, entry, "shape")
    zeros = Zeros.read(name, entry, shape) if encoding == "sparse" else None
    stored = encoding if zeros is None else entry.get("values")
    count = prod(shape) if zeros is None else zeros.kept

    def whole(values: Tensor) -> Tensor:
        return values.view(shape) if zeros is None else zeros.fill(values, streams[PACKED].take(zeros.bytes, name))

    if stored == "plain":
        return whole(streams[FLOATS].take(count, name))
    if stored not in ("packed", "grouped", "planes"):
        raise ValueError(
            f"Weights are stored as 'plain', 'packed', 'grouped' or 'planes', or 'sparse' as one of these; found "
            f"{stored!r} for {name}. Read it with the version of allinone that wrote it."
        )
    bits, scale = entry.get("bits"), _shape(name, entry, "scale")
    if type(bits) is not int or (stored == "planes" and bits != PLANES):
        required = f"{PLANES}" if stored == "planes" else "a whole number"
        raise ValueError(f"The bits of {name} must be {required}; found {bits!r}. Export the member again.")
    fits, rule = (_broadcasts, "broadcast to") if stored == "packed" else (_divides, "divide")
    if len(scale) != len(shape) or not fits(scale, shape):
        raise ValueError(f"The scale of {name} must {rule} {shape}; found {scale}. Export the member again.")
    if stored == "planes":
        planes = planes_needed(wanted)
        first = streams[PACKED].take(planes_bytes(count, planes), name)
        streams[PACKED].skip(count - len(first), name)
        integers, steps = whole(unpack_planes(first, planes, count)), 2.0 ** (PLANES - planes)
        return coarser(Quantised(integers, steps * streams[FLOATS].take(prod(scale), name).view(scale), planes), wanted)
    integers = whole(unpack(streams[PACKED].take(packed_bytes(count, bits), name), bits, (count,)))
    return Quantised(integers, streams[FLOATS].take(prod(scale), name).view(scale), bits)


def _broadcasts(scale: Sequence[int], shape: Sequence[int]) -> bool:
    return all(some in (1, size) for some, size in zip(scale, shape, strict=True))


def _divides(scale: Sequence[int], shape: Sequence[int]) -> bool:
    return all(some > 0 and size % some == 0 for some, size in zip(scale, shape, strict=True))


def _shape(name: str, entry: Mapping[str, Any], key: str) -> tuple[int, ...]:
    sizes = entry.get(key)
    if not isinstance(sizes, list) or not all(isinstance(size, int) and size >= 0 for size in sizes):
        raise ValueError(f"The {key} of {name} must be a list of sizes; found {sizes!r}. Export the member again.")
    return tuple(sizes)


def _flat(name: str, tensor: Tensor) -> Tensor:
    assert tensor.dtype == torch.float32, f"{name} is {tensor.dtype}"
    if not tensor.isfinite().all():
        raise ValueError(
            f"The weights of a member must be finite; found NaN or infinity in {name}. "
            "This training has diverged: export from an earlier checkpoint."
        )
    return tensor.detach().cpu().reshape(-1)
