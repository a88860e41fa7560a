"""Scales for groups of inputs that a member has of its own survive an export."""

import pytest

from allinone.export import read_artefact, write_artefact
from allinone.quantization import AbsMax, Quantised
from tests.laws.examples import make_task, perturb


@pytest.mark.parametrize("name", ["2-24-4bit-g4", "1-24-2bit-g2+1-12-8bit+1-24-32bit"])
def test_a_scale_for_each_group_of_inputs_survives_writing_and_reading(name, tmp_path):
    """The writer itself compares bytes and outputs with the supernet's."""
    task = perturb(make_task(quantizer=AbsMax(), scale_groups=(None, 4, 2), layerwise=True))
    member = task.space.parse(name)
    artefact = read_artefact(write_artefact(task, member, tmp_path / name))
    weight = artefact.weights["encoder.layers.0.attention.query.weight"]
    assert isinstance(weight, Quantised)
    assert weight.scale.shape == (16, 16 // (member.layers[0].inputs_per_scale or 1))
    assert artefact.manifest.member == name
