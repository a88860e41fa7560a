"""A whole Whisper out of its directory: tokenizer, prompt, encoder and decoder give what transformers gives."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from allinone.models.huggingface import pretrained_decoder, read_pretrained
from allinone.subnet import SubnetConfig
from allinone.text import BpeTokenizer
from tests.models.imported import assert_close, noise
from tests.published import make_whole_whisper, save_whole_whisper
from tests.whisper_tokenizer import LABELS, PIECES


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return save_whole_whisper(tmp_path_factory.mktemp("whisper"))


@torch.no_grad()
def test_a_directory_says_of_thirty_seconds_what_transformers_says(folder):
    pretrained = read_pretrained(folder)
    layout, attention, tokenizer = pretrained.layout, pretrained.attention, pretrained.tokenizer
    assert attention is not None
    assert isinstance(tokenizer, BpeTokenizer)
    parts = nn.ModuleDict(
        {
            "encoder": layout.build(SubnetConfig.uniform(2, 48)),
            "decoder": attention.build(attention.whole, 32, tokenizer.vocab_size),
        }
    ).eval()
    parts.load_state_dict(dict(pretrained.weights))
    features = noise(2, 80, 3000)
    labels = torch.tensor([tokenizer.encode(text)[:3] for text in ("the cat sat", "on a mat is a hat")])
    encoded, lengths = parts["encoder"](features.transpose(1, 2), torch.tensor([3000, 3000]))
    found = parts["decoder"](encoded, lengths, labels)
    order = torch.tensor(tokenizer.order)
    given = order[torch.cat((torch.tensor([attention.prompt] * 2), labels), 1)]
    expected = make_whole_whisper()(input_features=features, decoder_input_ids=given).logits[..., order].log_softmax(-1)
    assert_close(found, expected[:, len(attention.prompt) - 1 :])
    assert order[list(attention.prompt)].tolist() == [PIECES + 1, PIECES + 9]
    assert order[0] == PIECES


def test_without_a_tokenizer_there_is_the_encoder_alone(folder, tmp_path):
    for path in folder.iterdir():
        if path.name != "tokenizer.json":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    pretrained = read_pretrained(tmp_path)
    assert (pretrained.attention, pretrained.tokenizer) == (None, None)
    assert all(name.startswith("encoder.") for name in pretrained.weights)


def test_a_tokenizer_that_does_not_belong_to_the_weights_is_refused(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"vocab_size": LABELS + 2}))
    with pytest.raises(ValueError, match=rf"tokenizer of {LABELS + 2} labels requires .* found {LABELS} in .* belong"):
        read_pretrained(tmp_path)


def test_other_families_have_no_decoder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "hubert"}))
    with pytest.raises(ValueError, match=r"requires a Whisper, which has a decoder; found the family 'hubert' in"):
        pretrained_decoder(tmp_path)
    with pytest.raises(ValueError, match=r"attention=pretrained requires a Hugging Face directory; found none named"):
        pretrained_decoder(None)


def test_the_dropout_is_that_of_the_directory_unless_another_is_given(folder):
    assert pretrained_decoder(folder).dropout == 0.0
    assert pretrained_decoder(folder, dropout=0.2).dropout == 0.2


def test_labels_that_are_scored_are_those_that_are_embedded(folder):
    decoder = {name for name in read_pretrained(folder).weights if name.startswith("decoder.")}
    assert "decoder.embedding.labels.weight" in decoder
    assert not any("linear" in name for name in decoder)
