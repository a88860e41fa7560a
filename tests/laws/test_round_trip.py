"""The law of round trips: names, descriptions and elastic layers give back what they were made of."""

import json
import random
from dataclasses import replace

import pytest
import torch
from torch import nn

from allinone.layers import LogMelSettings
from allinone.layers.axes import Axis
from allinone.layers.elastic import Elastic
from allinone.models import conformer_small, conformer_switchboard, conformer_tiny, wav2vec2_base
from allinone.quantization import AbsMax, Lsq, Nested, PerChannel, PerGroup, PerTensor
from allinone.subnet import BIT_WIDTHS, LayerConfig, SearchSpace, SubnetConfig
from allinone.tasks import describe, restore
from allinone.text import CharTokenizer, SentencePieceTokenizer


@pytest.mark.parametrize("heads", [(), (1, 2, 16)], ids=["all heads", "heads"])
@pytest.mark.parametrize("layerwise", [False, True])
def test_every_name_parses_back(layerwise, heads):
    space, generator = SearchSpace((1, 4, 6), (128, 256), BIT_WIDTHS, layerwise, heads=heads), random.Random(0)
    members = [*space.uniform_members(), *(space.sample(generator) for _ in range(100))]
    for member in members:
        assert SubnetConfig.parse(member.name) == member == space.parse(member.name)
    assert len({member.name for member in members}) == len(set(members))


@pytest.mark.parametrize("heads", [(), (1, 2, 16)], ids=["all heads", "heads"])
@pytest.mark.parametrize("layerwise", [False, True])
def test_every_name_with_a_decoder_part_parses_back(layerwise, heads):
    decoder = SearchSpace((1, 3), (64, 128), BIT_WIDTHS, layerwise, heads=heads)
    space, generator = SearchSpace((1, 4), (128, 256), (4, 32), layerwise, decoder, heads), random.Random(0)
    members = [*space.uniform_members(), *(space.sample(generator) for _ in range(100))]
    for member in members:
        assert SubnetConfig.parse(member.name) == member == space.parse(member.name)
        assert member.name == f"{member.encoder.name}_{SubnetConfig(member.decoder).name}"
    both = [*members, *(member.encoder for member in members)]
    assert len({member.name for member in both}) == len(set(both))


VALUES = [
    conformer_tiny(),
    conformer_small(convolution_norm="batch"),
    conformer_switchboard(),
    replace(conformer_small(), head_dim=64),
    wav2vec2_base(),
    SearchSpace((2, 3), (32, 64), (4, 8), layerwise=True),
    SearchSpace((2, 3), (32, 64), (4, 8), decoder=SearchSpace((1, 2), (16,), (4, 32), layerwise=True)),
    SearchSpace((2, 3), (32, 64), (4, 8), heads=(2, 4)),
    SearchSpace((3,), (32, 64), decoder=SearchSpace((1, 2), (16, 32), heads=(1, 2)), together=True),
    SubnetConfig.parse("1-64-8bit+2-32-4bit"),
    SubnetConfig.parse("1-64-8bit-h2+2-32-4bit-h4"),
    SubnetConfig.parse("1-64-8bit+2-32-4bit_1-16-32bit"),
    Lsq(PerTensor()),
    Lsq(PerChannel()),
    Nested(PerGroup(32)),
    AbsMax(PerTensor()),
    AbsMax(PerGroup(64)),
    CharTokenizer("abc "),
    LogMelSettings(bands=40),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_described_value_is_restored(value):
    assert restore(json.loads(json.dumps(describe(value)))) == value


def test_a_conformer_described_before_it_had_a_choice_of_norms_has_layer_norms():
    described = describe(conformer_tiny())
    assert described.pop("convolution_norm") == "layer"
    assert restore(described) == conformer_tiny()


@pytest.mark.parametrize("value", [SubnetConfig.uniform(2, 32, 4), SearchSpace((2, 3), (32, 64), (4, 8))])
def test_what_was_described_before_there_were_decoder_parts_has_none(value):
    described = json.loads(json.dumps(describe(value)))
    assert not described.pop("decoder")
    assert restore(described) == value


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (SearchSpace((2, 3), (32, 64), (4, 8)), "heads"),
        (LayerConfig(32, 4), "heads"),
        (conformer_tiny(), "head_dim"),
    ],
    ids=["space", "layer", "conformer"],
)
def test_what_was_described_before_heads_were_elastic_has_all_of_them(value, field):
    described = json.loads(json.dumps(describe(value)))
    del described[field]
    assert restore(described) == value


def test_what_was_described_before_encoder_and_decoder_chose_together_does_not():
    space = SearchSpace((2, 3), (32, 64), (4, 8), decoder=SearchSpace((1, 2), (16, 32), (4, 8)))
    described = json.loads(json.dumps(describe(space)))
    del described["together"], described["decoder"]["together"]
    assert restore(described) == space


def test_a_described_sentencepiece_tokenizer_is_restored():
    tokenizer = SentencePieceTokenizer.train(["one two three", "two three four", "five six seven"], vocab_size=20)
    restored = restore(json.loads(json.dumps(describe(tokenizer))))
    assert restored == tokenizer
    assert restored.encode("two four") == tokenizer.encode("two four")


def test_an_unknown_description_is_refused():
    with pytest.raises(ValueError, match=r"must be of a kind known here .* found 'Mystery' with x. Load it with"):
        restore({"kind": "Mystery", "x": 1})
    with pytest.raises(ValueError, match="found 'PerTensor' with x"):
        restore({"kind": "PerTensor", "x": 1})


def test_an_elastic_linear_at_full_precision_gives_back_the_linear():
    linear = nn.Linear(8, 6)
    weights = Elastic(linear, {"weight": Axis(0), "bias": Axis(0)}, Lsq(), (4, 8)).weights(LayerConfig(6))
    again = nn.Linear(8, 6)
    again.load_state_dict(weights)
    assert all(map(torch.equal, again.parameters(), linear.parameters()))
