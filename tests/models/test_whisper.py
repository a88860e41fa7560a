"""Whisper's encoder computes here what it computes in transformers, at 30 s and on short input; so do its features."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import WhisperFeatureExtractor

from allinone.layers import WhisperLogMelSettings
from allinone.models.huggingface import pretrained_features, read_pretrained
from tests.models.imported import assert_close, assert_same, build, noise, rewrite
from tests.published import make_whisper


@pytest.fixture(scope="module")
def whisper(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whisper")
    make_whisper().save_pretrained(folder)
    return folder


@torch.no_grad()
def test_whisper_has_the_frames_of_transformers_at_thirty_seconds(whisper):
    features = noise(2, 80, 3000)
    found, lengths = build(read_pretrained(whisper))[0](features.transpose(1, 2), torch.tensor([3000, 3000]))
    assert lengths.tolist() == [1500, 1500]
    assert_close(found, make_whisper().encoder(features).last_hidden_state)


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 7, 400])
def test_short_whisper_input_has_the_frames_of_the_same_modules_over_the_first_positions(whisper, frames):
    features, modules = noise(1, 80, frames), make_whisper().encoder
    x = functional.gelu(modules.conv2(functional.gelu(modules.conv1(features)))).transpose(1, 2)
    x = x + modules.embed_positions.weight[: x.shape[1]]
    for layer in modules.layers:
        x = layer(x, None)
        x = x[0] if isinstance(x, tuple) else x
    padded = functional.pad(features, (0, 50), value=3.0).transpose(1, 2)
    found, lengths = build(read_pretrained(whisper))[0](padded, torch.tensor([frames]))
    assert_close(found[:, : lengths[0]], modules.layer_norm(x))


def test_whisper_is_read_from_networks_of_any_kind(whisper, tmp_path):
    plain = load_file(whisper / "model.safetensors")
    for index, prefix in enumerate(("model.", "")):
        folder = tmp_path / str(index)
        folder.mkdir()

        def named(tensors, prefix=prefix):
            encoder = {name.removeprefix("encoder."): weight for name, weight in tensors.items() if "encoder." in name}
            return {prefix + name: weight for name, weight in tensors.items()} if prefix else encoder

        assert plain
        assert_same(read_pretrained(rewrite(whisper, folder, named)), read_pretrained(whisper))


@pytest.mark.parametrize("bands", [80, 128])
def test_log_mel_features_are_those_of_the_published_feature_extractor(bands, tmp_path, whisper):
    extractor: Any = WhisperFeatureExtractor(feature_size=bands)
    extractor.save_pretrained(tmp_path)
    config = json.loads((whisper / "config.json").read_text()) | {"num_mel_bins": bands}
    (tmp_path / "config.json").write_text(json.dumps(config))
    settings = pretrained_features(tmp_path)
    assert settings == WhisperLogMelSettings(bands)
    waveforms = 0.3 * noise(2, 33_333)
    waveforms[0, 20_000:] *= 1e-3
    expected = extractor([row.numpy() for row in waveforms], sampling_rate=16_000, padding=False, return_tensors="pt")
    found, lengths = settings.build()(waveforms, torch.tensor([33_333] * 2))
    assert lengths.tolist() == [208, 208]
    assert_close(found.transpose(1, 2), expected.input_features)
