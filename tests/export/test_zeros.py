"""Laws of storing sparse weights: zeros come back in place, in the counted bytes; a damaged entry is refused."""

from typing import Any

import pytest
import torch
from torch import Tensor

from allinone.export.tensors import FLOATS, PACKED, Weight, decode, encode, payload
from allinone.quantization import AbsMax, Granularity, PerChannel, PerGroup, PerTensor, Quantised
from allinone.sparsity import (
    Blocks,
    Kept,
    NOfM,
    Pattern,
    Unstructured,
    index_bytes,
    kept_count,
    masked,
    survival_levels,
)

SHAPE = (24, 48)
ENDS = (8, 24)
SPARSE = [
    (Unstructured(), 100),
    (Unstructured(), 190),
    (Blocks(8, 1), 100),
    (Blocks(8, 1), 199),
    (Blocks(4, 2), 140),
    (NOfM(4), 2),
    (NOfM(4), 3),
    (NOfM(8), 5),
]
FULL = 32


def sparse(pattern: Pattern, threshold: int, bits: int, granularity: Granularity) -> tuple[Weight, Kept]:
    """A weight that is pruned, then quantised."""
    weight = torch.randn(SHAPE, generator=torch.Generator().manual_seed(bits))
    levels = survival_levels(weight.abs(), pattern, 0, ENDS)
    weight = masked(weight, levels, threshold)
    stored = weight if bits == FULL else AbsMax(granularity).quantise(weight, None, bits)
    return stored, Kept(levels >= threshold, pattern, threshold)


def assert_equal(found: Weight, required: Weight) -> None:
    if isinstance(required, Quantised):
        assert isinstance(found, Quantised)
        assert torch.equal(found.integers, required.integers)
        assert torch.equal(found.scale, required.scale)
        assert found.bits == required.bits
    else:
        assert isinstance(found, Tensor)
        assert torch.equal(found, required)


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 8, FULL])
@pytest.mark.parametrize(("pattern", "threshold"), SPARSE, ids=str)
@pytest.mark.parametrize("granularity", [PerChannel(), PerGroup(16), PerTensor()], ids=str)
def test_sparse_weights_come_back_with_their_zeros_in_the_counted_bytes(bits, pattern, threshold, granularity):
    weight, kept = sparse(pattern, threshold, bits, granularity)
    weights: dict[str, Weight] = {"before": torch.ones(3), "matrix": weight, "after": Quantised(*dense_parts(), 4)}
    tensors, table = encode(weights, {"matrix": kept})
    assert table["matrix"]["encoding"] == "sparse"
    decoded = decode(tensors, table)
    assert decoded.keys() == weights.keys()
    for name, required in weights.items():
        assert_equal(decoded[name], required)
    count = kept_count(pattern, [8 * 48, 16 * 48], threshold)
    scales = 0 if bits == FULL else granularity.scale_shape(SHAPE)[0] * granularity.scale_shape(SHAPE)[1]
    index = index_bytes(pattern, SHAPE, count, threshold)
    others = 4 * 3 + (3 + 4 * 2)
    assert payload(tensors) == others + -(-count * bits // 8) + 4 * scales + index


def dense_parts() -> tuple[Tensor, Tensor]:
    return torch.tensor([[-8, 7, 0], [1, -1, 2]], dtype=torch.int8), torch.tensor([[0.25], [2.0]])


def test_zeros_save_bytes_and_cost_nothing_where_there_are_none():
    weight, kept = sparse(NOfM(4), 2, 4, PerChannel())
    sizes = [payload(encode({"matrix": weight}, masks)[0]) for masks in ({}, {"matrix": kept})]
    assert sizes[0] == 24 * 48 // 2 + 4 * 24
    assert sizes[1] == 24 * 48 // 4 + 4 * 24 + 24 * 12 * 3 // 8
    assert encode({"matrix": weight}, {})[1]["matrix"]["encoding"] == "packed"


@pytest.mark.parametrize(
    ("bits", "granularity", "values"),
    [(4, PerChannel(), "packed"), (4, PerGroup(16), "grouped"), (FULL, PerChannel(), "plain")],
)
def test_an_entry_says_how_the_kept_values_are_stored_and_how_the_zeros_lie(bits, granularity, values):
    weight, kept = sparse(Blocks(8, 1), 100, bits, granularity)
    _, table = encode({"matrix": weight}, {"matrix": kept})
    _, dense = encode({"matrix": weight})
    zeros = {"pattern": [8, 1], "threshold": 100, "kept": 576, "index": "mask"}
    assert table["matrix"] == dense["matrix"] | {"encoding": "sparse", "values": values} | zeros
    weight, kept = sparse(NOfM(4), 3, bits, granularity)
    assert encode({"matrix": weight}, {"matrix": kept})[1]["matrix"]["pattern"] == 4


def test_a_matrix_of_which_nothing_is_left_comes_back():
    kept = Kept(torch.zeros(SHAPE, dtype=torch.bool), Unstructured(), 199)
    tensors, table = encode({"matrix": torch.zeros(SHAPE)}, {"matrix": kept})
    assert payload(tensors) == 0
    assert_equal(decode(tensors, table)["matrix"], torch.zeros(SHAPE))


# What must not be written: our own mistakes.


@pytest.mark.parametrize("bits", [4, FULL])
@pytest.mark.parametrize("value", [1.0, torch.nan])
def test_a_dropped_weight_that_is_not_zero_is_not_lost(bits, value):
    _, kept = sparse(Unstructured(), 100, bits, PerChannel())
    weight: Weight = torch.full(SHAPE, value)
    if bits != FULL:
        weight = Quantised(torch.ones(SHAPE, dtype=torch.int8), torch.ones(24, 1), bits)
    with pytest.raises(AssertionError, match="matrix has dropped weights that are not zero"):
        encode({"matrix": weight}, {"matrix": kept})


def test_a_mask_belongs_to_a_weight_of_its_shape():
    weight, kept = sparse(Unstructured(), 100, FULL, PerChannel())
    with pytest.raises(AssertionError, match="matrix has another shape than its mask"):
        encode({"matrix": torch.zeros(48, 24)}, {"matrix": kept})
    with pytest.raises(AssertionError):
        encode({"another": weight}, {"matrix": kept})


def test_kept_weights_that_are_not_finite_are_refused():
    weight, kept = sparse(Unstructured(), 100, FULL, PerChannel())
    assert isinstance(weight, Tensor)
    with pytest.raises(ValueError, match=r"must be finite; found NaN or infinity in matrix\. This training has"):
        encode({"matrix": weight.masked_fill(kept.mask, torch.inf)}, {"matrix": kept})


# Damage.


def decode_changed(change: dict[str, Any], pattern: Pattern = Unstructured(), threshold: int = 100) -> None:  # noqa: B008
    weight, kept = sparse(pattern, threshold, 4, PerChannel())
    tensors, table = encode({"matrix": weight}, {"matrix": kept})
    table["matrix"] |= change
    decode(tensors, table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": "sparse"}, r"'grouped' or 'planes', or 'sparse' as one of these; found 'sparse' for matrix\. Read"),
        ({"values": None}, r"'grouped' or 'planes', or 'sparse' as one of these; found None for matrix\. Read"),
        ({"pattern": "8x1"}, r"pattern of matrix must be the rows and .* or the M of N:M; found '8x1'\. Export the"),
        ({"pattern": [1]}, r"pattern of matrix must be the rows and .* or the M of N:M; found \[1\]\. Export the"),
        ({"pattern": None}, r"pattern of matrix must be the rows and .* or the M of N:M; found None\. Export the"),
        ({"pattern": [1, 0]}, r"Blocks must have whole numbers of rows and columns, .*; found 1 and 0\. Give"),
        ({"pattern": 17}, r"N:M requires groups of a whole number of 2 to 16 weights \(M\); found 17\. Give"),
        (
            {"pattern": [5, 1]},
            r"matrix must lie in blocks of a matrix; found that 5x1 blocks do not divide .*\. Export",
        ),
        ({"shape": [1152]}, r"matrix must lie in blocks of a matrix; found that it has the shape \[1152\]\. Export"),
        ({"threshold": 200}, r"threshold of matrix must be a whole number from 0 to 199; found 200\. Export"),
        ({"threshold": -1}, r"threshold of matrix must be a whole number from 0 to 199; found -1\. Export"),
        ({"threshold": 0.5}, r"threshold of matrix must be a whole number from 0 to 199; found 0\.5\. Export"),
        ({"pattern": 4}, r"threshold of matrix must be a whole number from 0 to 3; found 100\. Export"),
        ({"kept": -1}, r"matrix must keep whole blocks, or N of each M, of 1152 weights; found -1 kept\. Export"),
        ({"kept": 1153}, r"matrix must keep whole blocks, or N of each M, of 1152 weights; found 1153 kept\. Export"),
        ({"kept": None}, r"matrix must keep whole blocks, or N of each M, of 1152 weights; found None kept\. Export"),
        ({"pattern": [8, 6], "kept": 577}, r"must keep whole blocks, or N of each M, .*; found 577 kept\. Export"),
        ({"pattern": 4, "threshold": 1}, r"must keep whole blocks, or N of each M, .*; found 576 kept\. Export"),
        ({"kept": 900}, r"matrix must have 450 values in the stream packed; found 432 left\. Export"),
        ({"kept": 577}, r"matrix must have 144 values in the stream packed; found 143 left\. Export"),
        ({"index": "index"}, r"index of this matrix must be written as 'mask'; found 'index'\. The file is damaged"),
        ({"index": None}, r"index of this matrix must be written as 'mask'; found None\. The file is damaged"),
        ({"kept": 575}, r"index of this matrix must keep 575 blocks; found 576\. The file is damaged"),
        ({"bits": 2}, r"index of this matrix must keep 576 blocks; found \d+\. The file is damaged"),
        ({"scale": [5, 1]}, r"The scale of matrix must broadcast to \(24, 48\); found \(5, 1\)\. Export"),
    ],
)
def test_an_entry_that_does_not_fit_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        decode_changed(change)


def test_a_file_that_lost_its_index_is_refused():
    weight, kept = sparse(Blocks(8, 1), 150, 4, PerChannel())
    tensors, table = encode({"matrix": weight}, {"matrix": kept})
    assert tensors.keys() == {PACKED, FLOATS}
    index = index_bytes(Blocks(8, 1), SHAPE, table["matrix"]["kept"], 150)
    with pytest.raises(
        ValueError, match=rf"matrix must have {index} values in the stream packed; found {index - 1} left"
    ):
        decode(tensors | {PACKED: tensors[PACKED][:-1]}, table)
