"""Scales for groups of inputs that a member has of its own survive an export."""

import pytest

from allinone.export import read_artefact, write_artefact
from allinone.quantization import AbsMax, Quantised
from allinone.subnet import SubnetConfig
from tests.export.families import make_task


@pytest.mark.parametrize("name", ["2-32-4bit-g8", "1-64-2bit-g4+1-32-8bit+1-48-32bit"])
def test_a_scale_for_each_group_of_inputs_survives_writing_and_reading(name, tmp_path):
    """The writer itself compares bytes and outputs with the supernet's."""
    task, member = make_task(quantizer=AbsMax()), SubnetConfig.parse(name)
    artefact = read_artefact(write_artefact(task, member, tmp_path / name))
    weight = artefact.weights["encoder.layers.0.attention.query.weight"]
    assert isinstance(weight, Quantised)
    assert weight.scale.shape == (32, 32 // (member.layers[0].inputs_per_scale or 1))
    assert artefact.manifest.member == name
