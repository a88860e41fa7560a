"""Laws of storing weights: decoding inverts encoding, and a table that does not fit its tensors is refused."""

import pytest
import torch

from allinone.export.tensors import FLOATS, PACKED, Weight, decode, encode, payload
from allinone.quantization import Quantised


def weights() -> dict[str, Weight]:
    integers = torch.tensor([[-2, 1, 0], [1, -1, 1]], dtype=torch.int8)
    return {
        "bias": torch.tensor([0.5, -1.0]),
        "matrix": Quantised(integers, torch.tensor([[0.25], [2.0]]), 2),
        "other": Quantised(integers, torch.tensor([[0.125]]), 3),
        "grouped": Quantised(torch.cat([integers, integers], 1), torch.tensor([[0.5, 1.0], [2.0, 4.0]]), 2),
        "scalar": torch.tensor(3.0),
    }


def test_decoding_inverts_encoding():
    tensors, table = encode(weights())
    assert payload(tensors) == (2 + 3 + 3) + 4 * (2 + 2 + 1 + 4 + 1)  # packed integers; biases, scales, the scalar
    encodings = {name: entry["encoding"] for name, entry in table.items()}
    assert encodings == {
        "bias": "plain",
        "matrix": "packed",
        "other": "packed",
        "grouped": "grouped",  # older readers do not know it, and say so
        "scalar": "plain",
    }
    for name, weight in decode(tensors, table).items():
        original = weights()[name]
        if isinstance(original, Quantised):
            assert isinstance(weight, Quantised)
            assert torch.equal(weight.integers, original.integers)
            assert torch.equal(weight.scale, original.scale)
            assert weight.bits == original.bits
        else:
            assert isinstance(weight, torch.Tensor)
            assert torch.equal(weight, original)


def test_a_network_of_full_precision_has_no_packed_tensor():
    tensors, table = encode({"bias": torch.ones(2)})
    assert tensors.keys() == {FLOATS}
    assert decode(tensors, table).keys() == {"bias"}


def test_weights_that_are_not_finite_are_refused():
    for value in (torch.nan, torch.inf):
        with pytest.raises(ValueError, match=r"must be finite; found NaN or infinity in bias\. This training has"):
            encode({"bias": torch.tensor([value])})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"encoding": "coded"},
            r"'packed', 'grouped' or 'planes', or 'sparse' as one of these; found 'coded' for matrix\. Read it with",
        ),
        ({"shape": [2, -3]}, r"The shape of matrix must be a list of sizes; found \[2, -3\]\. Export"),
        ({"shape": "2x3"}, r"The shape of matrix must be a list of sizes; found '2x3'\. Export"),
        ({"scale": [3, 1]}, r"The scale of matrix must broadcast to \(2, 3\); found \(3, 1\)\. Export"),
        ({"scale": [2]}, r"The scale of matrix must broadcast to \(2, 3\); found \(2,\)\. Export"),
        (
            {"shape": [2, 4], "scale": [2, 2]},
            r"The scale of matrix must broadcast to \(2, 4\); found \(2, 2\)\. Export",
        ),
        (
            {"encoding": "grouped", "scale": [2, 2]},
            r"The scale of matrix must divide \(2, 3\); found \(2, 2\)\. Export",
        ),
        (
            {"encoding": "grouped", "scale": [2, 0]},
            r"The scale of matrix must divide \(2, 3\); found \(2, 0\)\. Export",
        ),
        ({"bits": 9}, r"Packing needs 2 to 8 bits; found 9\. Store"),
        ({"bits": "2"}, r"The bits of matrix must be a whole number; found '2'\. Export"),
        ({"shape": [2, 300]}, r"matrix must have 150 values in the stream packed; found 8 left\. Export"),
        (
            {"shape": [1, 3], "scale": [1, 1]},
            r"must be exactly those of the table; found more of them in the file\. Exp",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_refused(change, message):
    tensors, table = encode(weights())
    table["matrix"] |= change
    with pytest.raises(ValueError, match=message):
        decode(tensors, table)


def test_streams_of_another_kind_are_refused():
    tensors, table = encode(weights())
    with pytest.raises(
        ValueError, match=r"The stream packed must be torch\.uint8 of one dimension; found torch\.int8 of"
    ):
        decode(tensors | {PACKED: tensors[PACKED].to(torch.int8)}, table)
    with pytest.raises(ValueError, match=r"exactly those of the table; found more of them in surprise\. Export"):
        decode(tensors | {"surprise": torch.ones(1)}, table)
