"""What cannot be imported is refused with what is required, what was found and what to do."""

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from allinone.models.huggingface import pretrained_features, pretrained_layout, read_pretrained
from allinone.models.published_config import write_config
from allinone.models.weight_files import read_state_dict
from tests.published import make_published, make_whisper, save_published

QUERY = "wavlm.encoder.layers.1.attention.q_proj.weight"


@pytest.fixture
def folder(tmp_path) -> Path:
    return save_published(make_published("wavlm base"), tmp_path / "wavlm")


@pytest.fixture
def whisper(tmp_path) -> Path:
    make_whisper().save_pretrained(tmp_path / "whisper")
    return tmp_path / "whisper"


def configure(folder: Path, **settings: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | settings))


def change(folder: Path, changes: Callable[[dict[str, Tensor]], Any]) -> None:
    tensors = {name: weight.clone() for name, weight in load_file(folder / "model.safetensors").items()}
    changes(tensors)
    save_file(tensors, folder / "model.safetensors")


def refused(folder: Path, *parts: str) -> None:
    with pytest.raises(ValueError, match=".*".join(map(re.escape, parts))):
        read_pretrained(folder)


def test_a_directory_without_config_is_refused(folder, tmp_path):
    (folder / "config.json").unlink()
    refused(folder, "needs a config.json; found none at", "Name a directory as transformers' save_pretrained writes it")
    refused(tmp_path / "nowhere", "needs a config.json; found no such directory at")


@pytest.mark.parametrize(("text", "found"), [("{", "found a damaged one"), ("[1]", "found list")])
def test_a_config_that_is_no_json_object_is_refused(folder, text, found):
    (folder / "config.json").write_text(text)
    refused(folder, "config.json must", found, "Copy it again")


def test_an_unknown_family_is_refused_with_the_known_ones(folder):
    configure(folder, model_type="unispeech")
    refused(
        folder,
        "one of the families wav2vec2, hubert, wavlm, data2vec-audio, whisper (model_type); found 'unispeech' in",
        "Start from one of these.",
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_act", "relu"),
        ("feat_extract_activation", "gelu_new"),
        ("layer_norm_eps", 1e-12),
        ("add_adapter", True),
        ("adapter_attn_dim", 16),
        ("conv_pos_batch_norm", True),
    ],
)
def test_what_our_modules_do_not_have_is_refused_by_key_and_value(folder, key, value):
    configure(folder, **{key: value})
    refused(folder, f"must have {key}=", f"found {value!r} in", "Start from another encoder.")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": "wide"}, "hidden_size must be a whole number from 1 on; found 'wide'."),
        ({"conv_kernel": [10, 0]}, "conv_kernel must be a list of whole numbers from 1 on; found [10, 0]."),
        ({"conv_dim": [16] * 3}, "as many channels as kernels and strides"),
        ({"conv_bias": None}, "conv_bias must be true or false; found None."),
        ({"hidden_dropout": 1.5}, "hidden_dropout must be a probability; found 1.5."),
        ({"feat_extract_norm": "batch"}, "'group' or 'layer'; found 'batch'"),
        ({"num_attention_heads": 5}, "multiple of the number of heads"),
        ({"num_buckets": 10}, "must be a multiple of 4; found 10"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_config_of_an_impossible_encoder_is_refused(folder, settings, message):
    configure(folder, **settings)
    refused(folder, "must describe an encoder that can be built; found one in", message, "Correct it")


def test_shapes_that_do_not_fit_the_config_are_refused_with_key_and_both(folder):
    configure(folder, hidden_size=64)
    refused(folder, "The config requires", "of shape (64,), in floating point; found shape (32,) of torch.float32 in")
    configure(folder, hidden_size=32)
    change(folder, lambda tensors: tensors.update({QUERY: torch.ones(32, 16)}))
    refused(folder, f"The config requires {QUERY} of shape (32, 32), in floating point; found shape (32, 16)", "Check")


def test_weights_of_integers_are_refused(folder):
    change(folder, lambda tensors: tensors.update({QUERY: torch.ones(32, 32, dtype=torch.int8)}))
    refused(folder, QUERY, "in floating point; found shape (32, 32) of torch.int8")


def test_a_missing_tensor_is_refused_with_its_name(folder):
    change(folder, lambda tensors: tensors.pop(QUERY))
    refused(folder, f"requires the tensor {QUERY}; found none in", "Check that weights and config belong together.")


def test_a_missing_magnitude_is_refused_with_the_name_of_the_file(folder):
    change(folder, lambda tensors: tensors.pop("wavlm.encoder.pos_conv_embed.conv.parametrizations.weight.original0"))
    refused(folder, "requires the tensor wavlm.encoder.pos_conv_embed.conv.", "found none")


def test_more_layers_than_the_config_tells_are_refused(folder):
    configure(folder, num_hidden_layers=1)
    refused(
        folder, "of 1 layers of the family wavlm must have no more than their tensors; found wavlm.encoder.layers.1"
    )


def test_a_missing_shard_is_refused_by_name(tmp_path):
    make_published("wavlm base").save_pretrained(tmp_path, max_shard_size="40KB")
    shard = sorted(tmp_path.glob("*.safetensors"))[0]
    shard.unlink()
    refused(tmp_path, "model.safetensors.index.json requires the shards", f"found no {shard.name}. Copy")


@pytest.mark.parametrize("index", [{}, {"weight_map": {}}, {"weight_map": {"a": 1}}])
def test_an_index_that_names_no_shards_is_refused(folder, index):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(folder, "must name a file for each tensor (weight_map); found none")


def test_a_shard_outside_the_directory_is_not_read(folder):
    (folder / "model.safetensors").rename(folder.parent / "other.safetensors")
    index = {"weight_map": {QUERY: "../other.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(folder, "in its own directory; found no ../other.safetensors")


def test_a_directory_without_weights_is_refused_with_what_it_holds(folder):
    (folder / "model.safetensors").unlink()
    refused(folder, "needs weights in model.safetensors or pytorch_model.bin", "found config.json", "Copy the weights")


@pytest.mark.parametrize("content", [b"", b"no tensors at all"])
def test_torn_weights_are_refused(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    refused(folder, "model.safetensors must be a safetensors file; found one that cannot be read (", "Copy it again.")


class Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("this code was run",))


def test_a_pickle_that_needs_code_is_refused_and_does_not_run(folder, capsys):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Code()}))
    refused(folder, "must hold tensors alone, so that no code of it has to be run; found", "pytorch_model.bin")
    torch.save({"a": Code()}, folder / "pytorch_model.bin")
    refused(folder, "must hold tensors alone", "Save the state dict alone, best as model.safetensors.")
    assert capsys.readouterr().out == ""


def test_a_file_of_other_values_is_refused(tmp_path):
    for content in ([torch.ones(1)], {"epoch": 3}):
        torch.save(content, tmp_path / "state.pt")
        with pytest.raises(ValueError, match="must hold a state dict, tensors by name; found something else in"):
            read_state_dict(tmp_path / "state.pt")


@torch.no_grad()
def test_whispers_positions_must_be_sinusoids(whisper):
    change(whisper, lambda tensors: tensors["encoder.embed_positions.weight"][700].add_(0.01))
    refused(whisper, "must be sinusoids of 32 channels; found others, up to 0.01 away, in", "were not trained.")
    change(whisper, lambda tensors: tensors.update({"encoder.embed_positions.weight": torch.ones(3, 4)}))
    refused(whisper, "must be sinusoids of 32 channels; found shape (3, 4) in")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["<pad>", "<s>", "</s>", "a"], "The vocabulary of 4 labels requires lm_head.weight of shape (4, 32)"),
        (["<pad>", *map(chr, range(97, 97 + 40))], "The vocabulary of 41 labels requires lm_head.weight"),
        (["<pad>", "aː", *map(chr, range(97, 97 + 30))], "single characters and special symbols in brackets"),
    ],
)
def test_a_vocabulary_that_does_not_fit_the_output_is_refused(folder, rows, message):
    (folder / "vocab.json").write_text(json.dumps({symbol: label for label, symbol in enumerate(rows)}))
    refused(folder, message, "move it away to start from the encoder alone, with another tokenizer")


@pytest.mark.parametrize(
    ("settings", "found"),
    [({"sampling_rate": 8000}, "sampling_rate=16000; found 8000"), ({"feature_size": 80}, "feature_size=1; found 80")],
)
def test_features_that_are_not_computed_here_are_refused(folder, settings, found):
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    refused(folder, "of the family wavlm must take features of", found, "Start from another encoder.")


def test_a_directory_has_to_be_named():
    with pytest.raises(ValueError, match=r"network=pretrained requires a Hugging Face directory; found none named"):
        pretrained_layout(None)
    with pytest.raises(ValueError, match=r"features=pretrained requires .*Give features\.folder=DIR, or init=DIR"):
        pretrained_features(None)


def test_what_transformers_has_no_network_for_has_no_config(whisper, folder):
    with pytest.raises(ValueError, match=r"one of the families wav2vec2, .*; found whisper\. Leave format=huggingface"):
        write_config(pretrained_layout(whisper), 32)
    layout = pretrained_layout(folder)
    for changes in ({"family": "hubert"}, {"head_dim": 6}, {"key_bias": False}):
        with pytest.raises(ValueError, match=r"requires an encoder as \w+ has it; found TransformerLayout"):
            write_config(type(layout)(**{**vars(layout), **changes}), 32)
