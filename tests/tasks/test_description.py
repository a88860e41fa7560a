"""Descriptions come back as what they were; bytes in them are compressed, and refused where they are damaged."""

import base64
import json

import pytest

from allinone.quantization import DynamicActivations, StaticActivations
from allinone.sparsity import Blocks, NOfM, Unstructured
from allinone.subnet import LayerConfig, SearchSpace, SubnetConfig
from allinone.tasks.description import describe, restore


@pytest.mark.parametrize(
    "value",
    [
        DynamicActivations(),
        StaticActivations(),
        Unstructured(),
        LayerConfig(64, 8, 2, 0.625),
        SubnetConfig.parse("2-64-8bit-s50+1-32-4bit-h2-2of3_2-64-8bit-s0.5"),
        SearchSpace((2, 3), (64,), (8,), sparsities=(0.5, 0.625), pattern=Blocks(8, 2)),
        SearchSpace(
            (2,), (64,), decoder=SearchSpace((2,), (64,), sparsities=(1 / 3, 0), pattern=NOfM(3)), together=True
        ),
    ],
    ids=str,
)
def test_sparse_members_spaces_and_ways_of_rounding_come_back_as_they_were(value):
    assert restore(json.loads(json.dumps(describe(value)))) == value


def test_members_and_spaces_of_versions_without_sparsity_are_dense():
    layer = {"kind": "LayerConfig", "width": 64, "bits": 8, "heads": None}
    assert restore({"kind": "SubnetConfig", "layers": [layer], "decoder": []}) == SubnetConfig.uniform(1, 64, 8)
    space = {"kind": "SearchSpace", "depths": [1], "widths": [64], "bits": [8], "layerwise": False, "decoder": None}
    assert restore(space | {"heads": [], "together": False}) == SearchSpace((1,), (64,), (8,))


def test_bytes_come_back_as_they_were_and_repeated_ones_take_little_room():
    content = b"\x00\xff some bytes " * 1000
    assert restore(describe(content)) == content
    assert len(str(describe(content))) < len(content) / 10


def test_bytes_of_earlier_versions_are_read():
    assert restore({"base64": base64.b64encode(b"\x00\xff").decode()}) == b"\x00\xff"


def test_damaged_bytes_are_refused():
    with pytest.raises(
        ValueError, match=r"must hold bytes as zlib compresses them; found others \(.*\)\. Copy the file"
    ):
        restore({"zlib": base64.b64encode(b"others").decode()})
