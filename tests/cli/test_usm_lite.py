"""Tests of `allinone subnets` on USM-Lite: every per cent of its Tables 1 to 3, by the name of a member."""

import json
from math import floor
from typing import Any

import pytest

PRINTED = {  # Tables 1 to 3, by the names of members
    "32-6144-8bit": 25.0,  # E0, E1
    "32-6144-4bit": 12.5,  # E2, E3
    "32-6144-2bit": 6.3,  # E4
    "32-6144-2bit-g96": 7.3,  # E5: 16 scales for 1,536 inputs
    "32-6144-2bit-g48": 8.3,  # E6
    "32-6144-2bit-g24": 10.4,  # E7
    "32-6144-32bit-2of4": 53.1,  # E8, E9
    "32-6144-32bit-1of4": 28.1,  # E10, E11
    "32-6144-4bit-2of4": 9.4,  # E12, E13
}
STORED = {"32-6144-4bit-2of4": 8.6, "32-6144-2bit-2of4": 5.5}  # with a code of 3 bits for a group, not a mask of 4


def per_cent(value: float) -> float:
    """Rounded as the paper does: half up."""
    return floor(round(value, 6) * 10 + 0.5) / 10


def rows(call: Any, *arguments: str) -> dict[str, dict[str, float]]:
    said = call("subnets", *arguments, "format=json")
    assert (said.code, said.err) == (0, "")
    return {row["name"]: row for row in json.loads(said.out)}


def test_every_per_cent_of_quantisation_and_sparsity_is_the_printed_one(call, here):
    found = rows(call, "experiment=usm_lite_2b")
    assert {name: per_cent(found[name]["per_cent"]) for name in PRINTED} == PRINTED
    largest = found["32-6144-32bit"]
    assert largest["per_cent"] == 100
    assert largest["parameters"] == pytest.approx(1.82e9, rel=0.01)
    assert len(found) == 3 * (1 + 3 * 4)  # of 32 bits, and of three precisions with or without groups
    stored = {name: per_cent(100 * found[name]["bytes_stored"] / largest["bytes_stored"]) for name in STORED}
    for name, expected in STORED.items():  # scales of channels, and what is no matrix, come on top
        assert expected <= stored[name] <= expected + 0.4
        assert found[name]["bytes_stored"] < found[name]["bytes"]


@pytest.mark.parametrize(
    ("size", "member", "printed"),
    [("1b", "16-6144-32bit", 50.2), ("600m", "24-4096-32bit", 33.5), ("300m", "24-3072-32bit", 18.9)],
)
def test_the_smaller_dense_backbones_have_the_printed_sizes(call, here, size, member, printed):
    (alone,) = rows(call, f"experiment=usm_lite_{size}", "network@relative_to=usm").values()
    assert (alone["name"], per_cent(alone["per_cent"])) == (member, printed)
    (own,) = rows(call, f"experiment=usm_lite_{size}").values()
    assert (own["per_cent"], own["bytes"]) == (100, alone["bytes"])


def test_a_size_that_does_not_exist_is_refused(call, here):
    said = call("subnets", "experiment=usm_lite_2b", "network.size=4b")
    assert (said.code, said.out) == (1, "")
    assert "size must be one of 2b, 1b, 600m, 300m; found '4b'. Choose one of these." in said.err


def test_groups_that_do_not_divide_the_inputs_are_refused_with_what_would(call, here):
    said = call("subnets", "experiment=usm_lite_2b", "space.scale_groups=[80]")
    assert (said.code, said.out) == (1, "")
    assert "Groups of 80 inputs must divide" in said.err
    assert (
        "found 1536 inputs of encoder.layers.0.feed_forward_1.up.weight. Choose another size (here all of" in said.err
    )
    said = call("subnets", "experiment=usm_lite_2b", "quantizer=lsq")
    assert "require a quantiser that learns no scales; found Lsq. Give quantizer=absmax" in said.err
