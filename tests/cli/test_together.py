"""Encoder and decoder that choose together, through the verbs: trained, evaluated and exported in pairs."""

import json

import pytest

from allinone.export import Manifest
from tests.cli.conftest import Trained, train

DECODER = "{_target_: allinone.subnet.SearchSpace, depths: [1, 2], widths: [48, 64], bits: [3, 8]}"
SETTINGS = ("attention=decoder_tiny", "space.depths=[2]", f"+space.decoder={DECODER}", "+space.together=true")


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory, corpus) -> Trained:
    """A run that starts with a compression warm-up."""
    warm_up = ("sampler=progressive", "sampler.warm_up.steps=3")
    return train(tmp_path_factory.mktemp("together"), corpus, *SETTINGS, *warm_up)


def test_pairs_are_listed_and_evaluated_from_the_largest_to_the_smallest(call, here, together):
    listed = json.loads(call("subnets", "experiment=tiny_synthetic", *SETTINGS, "format=json").out)
    arguments = ("decoder=attention_greedy", "decoder.max_ratio=0.2", "format=json", "device=cpu")
    evaluated = json.loads(call("evaluate", f"checkpoint={together.checkpoint}", *arguments).out)
    assert [row["name"] for row in listed] == [row["name"] for row in evaluated]
    assert [row["name"] for row in evaluated] == [
        f"2-{width}-{bits}bit_{above}-{width_above}-{bits_above}bit"
        for above in (2, 1)
        for width, width_above in ((64, 64), (32, 48))
        for bits, bits_above in ((8, 8), (4, 3))
    ]
    assert [row["bytes_stored"] for row in listed] == [row["bytes_stored"] for row in evaluated]


def test_a_pair_is_exported_and_what_is_none_is_refused(call, here, together):
    arguments = ("export", f"checkpoint={together.checkpoint}", "output=small")
    said = call(*arguments, "subnet=2-32-4bit_1-48-8bit")
    assert said.code == 1
    assert "4_3 or 8_8 bits" in said.err
    assert call(*arguments, "subnet=2-32-4bit_1-48-3bit").code == 0
    assert Manifest.read(here / "small").member == "2-32-4bit_1-48-3bit"
