"""A Whisper's decoder spells here what it spells in transformers, label by label and as a whole."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from allinone.models import DecoderLayout, TransformerDecoder
from allinone.models.elastic_decoder import ElasticDecoder
from allinone.models.published_decoder import (
    has_decoder,
    publish_decoder,
    read_decoder_layout,
    take_published_decoder,
)
from allinone.quantization import Lsq
from allinone.subnet import LayerConfig
from tests.models.imported import assert_close
from tests.published import make_whisper

VOCAB, END, PROMPT = 60_000, 50_256, (50_300, 50_301, 50_400)
ORDER = [END, *(label for label in range(VOCAB) if label != END)]
TEXTS = torch.tensor([[7, 300, 49_999, 12], [1, 1, 59_998, 4]])


def config() -> dict[str, Any]:
    return make_whisper().config.to_dict()


def state() -> dict[str, Tensor]:
    return make_whisper().state_dict()


def ours() -> tuple[DecoderLayout, TransformerDecoder]:
    layout = read_decoder_layout(config(), PROMPT, "a config")
    decoder = layout.build(layout.whole, 32, VOCAB).eval()
    decoder.load_state_dict(take_published_decoder(layout, 32, ORDER, state(), "a directory"))
    return layout, decoder


@torch.no_grad()
def theirs(encoded: Tensor) -> Tensor:
    """Log probabilities after the prompt and after each label of the texts, in our order of labels."""
    network = make_whisper()
    published = torch.tensor(ORDER)[torch.cat((torch.tensor([PROMPT] * 2), TEXTS), 1)]
    hidden = network.decoder(input_ids=published, encoder_hidden_states=encoded).last_hidden_state
    scores = functional.linear(hidden, network.decoder.embed_tokens.weight)[..., ORDER]
    return scores.log_softmax(-1)[:, len(PROMPT) - 1 :]


def frames(time: int = 11) -> tuple[Tensor, Tensor]:
    return torch.randn(2, time, 32, generator=torch.Generator().manual_seed(1)), torch.tensor([time, time])


@torch.no_grad()
@pytest.mark.parametrize("time", [1, 11, 60])
def test_the_decoder_says_what_transformers_says(time):
    _, decoder = ours()
    encoded, lengths = frames(time)
    expected = theirs(encoded)
    assert expected.std() > 0.01
    assert_close(decoder(encoded, lengths, TEXTS), expected)


@torch.no_grad()
def test_steps_with_the_cache_say_the_same_behind_the_prompt():
    _, decoder = ours()
    encoded, lengths = frames()
    expected, state = theirs(encoded), decoder.start(encoded, lengths)
    for place, newest in enumerate(functional.pad(TEXTS, (1, 0)).T):
        said, state = decoder.step(newest[:, None], state)
        assert_close(said[:, 0], expected[:, place])
    assert state.length == len(PROMPT) + TEXTS.shape[1]


@torch.no_grad()
def test_the_largest_member_says_the_same_and_a_smaller_one_is_its_plain_decoder():
    layout, decoder = ours()
    elastic = ElasticDecoder(layout, 32, VOCAB, layout.whole, Lsq(), (4, 8)).eval()
    for part, module in elastic.parts():
        module.module.load_state_dict(decoder.get_submodule(part).state_dict())
        module.initialise_scales()
    encoded, lengths = frames()
    assert torch.equal(elastic(encoded, lengths, TEXTS, layout.whole), decoder(encoded, lengths, TEXTS))
    for layer in (LayerConfig(16, 4), LayerConfig(32, 8, 1), LayerConfig(20, 32, 2)):
        member = elastic.member([layer])
        assert torch.equal(member(encoded, lengths, TEXTS), elastic(encoded, lengths, TEXTS, [layer]))
        shapes = {name: tuple(weight.shape) for name, weight in member.state_dict().items()}
        specs = list(layout.tensors([layer], 32, VOCAB))
        assert shapes == {spec.name.removeprefix("decoder."): spec.shape for spec in specs}
        assert {spec.bits for spec in specs if len(spec.shape) > 1} == {layer.bits}


def test_the_longest_text_leaves_room_for_the_prompt():
    layout, decoder = ours()
    assert layout.most_labels == decoder.most_labels == 448 - len(PROMPT)
    encoded, lengths = frames()
    decoder(encoded, lengths, torch.ones(2, 445, dtype=torch.long))
    assert DecoderLayout(1, 8, 2).most_labels is None


def test_weights_are_published_as_they_were_taken():
    layout, decoder = ours()
    published = publish_decoder(layout, ORDER, decoder.state_dict())
    expected = {f"model.{name}": weight for name, weight in state().items() if name.startswith("decoder.")}
    assert published.keys() == expected.keys()
    assert all(torch.equal(weight, expected[name]) for name, weight in published.items())


def test_it_is_told_whether_there_is_a_decoder():
    weights = state()
    assert has_decoder(weights)
    assert has_decoder({f"model.{name}": weight for name, weight in weights.items()})
    assert not has_decoder({name: weight for name, weight in weights.items() if name.startswith("encoder.")})


def test_a_missing_tensor_another_shape_another_tokenizer_and_too_many_layers_are_refused():
    layout = read_decoder_layout(config(), PROMPT, "a config")
    weights = state()

    def take(weights: dict[str, Tensor], order: list[int] = ORDER, layout: DecoderLayout = layout) -> None:
        take_published_decoder(layout, 32, order, weights, "a directory")

    without = {name: weight for name, weight in weights.items() if name != "decoder.layers.0.fc1.bias"}
    with pytest.raises(ValueError, match=r"requires the tensor decoder\.layers\.0\.fc1\.bias; found none in a direc"):
        take(without)
    with pytest.raises(ValueError, match=r"requires decoder\.layer_norm\.weight of shape \(32,\).*found shape \(3,\)"):
        take(weights | {"decoder.layer_norm.weight": torch.ones(3)})
    with pytest.raises(ValueError, match=r"A tokenizer of 59999 labels requires decoder\.embed_tokens\.weight to have"):
        take(weights, ORDER[:-1])
    with pytest.raises(ValueError, match=r"decoder of 1 layers must have no more than their tensors; found dec"):
        take(weights | {"decoder.layers.1.fc1.bias": torch.ones(32)})


def test_a_decoder_that_is_not_built_here_is_refused():
    with pytest.raises(ValueError, match=r"must have scale_embedding=False, .* found True in here"):
        read_decoder_layout(config() | {"scale_embedding": True}, PROMPT, "here")
    with pytest.raises(ValueError, match="decoder_layers must be a whole number from 1 on; found 'x'"):
        read_decoder_layout(config() | {"decoder_layers": "x"}, PROMPT, "here")


def test_a_prompt_and_places_must_fit():
    layout = DecoderLayout(1, 8, 2, places=4, prompt=(1, 2))
    with pytest.raises(ValueError, match=r"a prompt of labels below 2; found 2\. Give the tokenizer"):
        layout.build(layout.whole, 8, 2)
    with pytest.raises(ValueError, match="a prompt of at least one label, each 0 or more; found none"):
        replace(layout, prompt=())
    with pytest.raises(ValueError, match="more places than its prompt of 2 labels takes; found 2"):
        replace(layout, places=2)
