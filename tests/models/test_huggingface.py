"""A pretrained encoder computes here what it computes in transformers, whatever file it comes in."""

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from allinone.layers import WaveformSettings
from allinone.models.huggingface import Pretrained, pretrained_features, pretrained_layout, read_pretrained
from allinone.models.published_config import read_layout, write_config
from allinone.text import VocabularyTokenizer
from tests.models.imported import assert_close, assert_same, build, noise, rewrite
from tests.published import CTC_KINDS, GROUP_NORM, make_published, perturb_published

LENGTHS = (16_000, 9_333, 401)

kinds = pytest.mark.parametrize("kind", CTC_KINDS)


@torch.no_grad()
def logits(pretrained: Pretrained, waveforms: Tensor, lengths: Any) -> tuple[Tensor, list[int]]:
    encoder, head = build(pretrained)
    encoded, lengths = encoder(waveforms[..., None], torch.tensor(lengths))
    return head(encoded), lengths.tolist()


@torch.no_grad()
def published_logits(kind: str, waveforms: Tensor, mask: Tensor | None = None) -> Tensor:
    return make_published(kind)(waveforms, attention_mask=mask).logits


@kinds
@pytest.mark.parametrize("samples", LENGTHS)
def test_an_imported_network_has_the_logits_of_transformers(kind, samples, directories):
    waveforms = noise(2, samples)
    found, lengths = logits(read_pretrained(directories[kind]), waveforms, [samples] * 2)
    expected = published_logits(kind, waveforms)
    assert lengths == [expected.shape[1]] * 2
    assert expected.std() > 0.1
    assert_close(found, expected)


# data2vec's convolutions for positions see what the one before made of the padding
@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask:UserWarning")
@pytest.mark.parametrize("kind", [kind for kind in CTC_KINDS if kind not in (*GROUP_NORM, "data2vec")])
def test_padded_batches_have_the_logits_of_transformers_where_its_norms_see_no_padding(kind, directories):
    lengths = torch.tensor([12_000, 7_000, 3_333])
    mask = (torch.arange(12_000) < lengths[:, None]).long()
    waveforms = noise(3, 12_000) * mask
    found, frames = logits(read_pretrained(directories[kind]), waveforms, lengths.tolist())
    expected = published_logits(kind, waveforms, mask)
    for index, valid in enumerate(frames):
        assert_close(found[index, :valid], expected[index, :valid])


@kinds
def test_an_utterance_of_an_imported_network_does_not_depend_on_its_batch(kind, directories):
    pretrained, lengths, waveforms = read_pretrained(directories[kind]), [8_000, 5_001, 420], noise(3, 8_000)
    together, frames = logits(pretrained, waveforms, lengths)
    for index, valid in enumerate(frames):
        alone, _ = logits(pretrained, waveforms[index : index + 1, : lengths[index]], lengths[index : index + 1])
        assert_close(together[index, :valid], alone[0])


@kinds
def test_a_config_comes_back_from_its_layout(kind, directories):
    config = json.loads((directories[kind] / "config.json").read_text())
    layout = pretrained_layout(directories[kind], dropout=0.25, frozen=False)
    written = write_config(layout, 32)
    assert read_layout(written, "", frozen=False) == layout
    silent = ("dtype", "hidden_dropout")
    assert {key: written[key] for key in written if key not in silent} == {
        key: config[key] for key in written if key not in silent
    }


def test_the_base_size_of_wav2vec2_has_the_hidden_states_of_transformers(tmp_path):
    torch.manual_seed(0)
    network = perturb_published(Wav2Vec2Model(Wav2Vec2Config(num_hidden_layers=2)))
    network.save_pretrained(tmp_path)
    pretrained = read_pretrained(tmp_path)
    assert pretrained.tokenizer is None
    assert set(pretrained.weights) == {f"encoder.{name}" for name in build(pretrained)[0].state_dict()}
    waveforms = noise(1, 20_000)
    with torch.no_grad():
        found, _ = build(pretrained)[0](waveforms[..., None], torch.tensor([20_000]))
        assert_close(found, network(waveforms).last_hidden_state)


def test_both_spellings_of_weight_normalisation_are_read(directories, tmp_path):
    def old(tensors):
        spelt = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
        for new, name in spelt.items():
            key = f"hubert.encoder.pos_conv_embed.conv.{new}"
            tensors[key.replace(new, name)] = tensors.pop(key)
        return tensors

    source = directories["hubert base"]
    assert_same(read_pretrained(rewrite(source, tmp_path, old)), read_pretrained(source))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_weights_of_another_precision_become_float32(dtype, directories, tmp_path):
    source = directories["wavlm base"]
    halved = rewrite(source, tmp_path, lambda tensors: {name: weight.to(dtype) for name, weight in tensors.items()})
    assert_same(read_pretrained(halved), read_pretrained(source), 0.0 if dtype == torch.float64 else 1e-2)


def test_names_without_the_prefix_of_the_family_are_read_and_what_is_not_of_the_encoder_is_left_out(
    directories, tmp_path
):
    def bare(tensors):
        named = {name.removeprefix("wav2vec2."): weight for name, weight in tensors.items()}
        return named | {"quantizer.codevectors": torch.ones(2), "project_hid.weight": torch.ones(2)}

    source = directories["wav2vec2 base"]
    assert_same(read_pretrained(rewrite(source, tmp_path, bare)), read_pretrained(source))


def test_a_vector_for_masked_frames_that_is_not_there_is_zero(directories, tmp_path):
    def without(tensors):
        return {name: weight for name, weight in tensors.items() if "masked" not in name}

    found = read_pretrained(rewrite(directories["data2vec"], tmp_path, without)).weights["encoder.front_end.masked"]
    assert found.shape == (32,)
    assert not found.any()


def test_shards_are_read(directories, tmp_path):
    network = make_published("hubert large")
    network.save_pretrained(tmp_path, max_shard_size="40KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    found = read_pretrained(tmp_path)
    for name, weight in found.weights.items():
        assert torch.equal(weight, read_pretrained(directories["hubert large"]).weights[name])


@pytest.mark.parametrize("old_format", [False, True])
def test_a_pickled_state_dict_is_read(directories, tmp_path, old_format):
    source = directories["wav2vec2 large"]
    for name in ("config.json", "vocab.json"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    torch.save(
        make_published("wav2vec2 large").state_dict(),
        tmp_path / "pytorch_model.bin",
        _use_new_zipfile_serialization=not old_format,
    )
    assert_same(read_pretrained(tmp_path), read_pretrained(source))


def test_reading_leaves_the_files_as_they_are_even_if_weights_are_changed(directories):
    file = directories["wav2vec2 base"] / "model.safetensors"
    before = file.read_bytes()
    for weight in read_pretrained(file.parent).weights.values():
        weight.zero_()
    assert file.read_bytes() == before


def test_a_blank_that_is_not_the_first_label_becomes_it(directories, tmp_path):
    source = directories["wav2vec2 base"]
    folder = rewrite(source, tmp_path, lambda tensors: tensors)
    config = json.loads((folder / "config.json").read_text())
    symbols = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ'|", "[UNK]", "<s>", "[PAD]", "</s>"]
    (folder / "vocab.json").write_text(json.dumps({symbol: label for label, symbol in enumerate(symbols)}))
    (folder / "config.json").write_text(json.dumps(config | {"pad_token_id": 30}))
    found, original = read_pretrained(folder), read_pretrained(source)
    assert isinstance(found.tokenizer, VocabularyTokenizer)
    assert found.tokenizer.symbols == ("[PAD]", *symbols[:30], "</s>")
    assert torch.equal(found.weights["head.weight"][0], original.weights["head.weight"][30])
    assert torch.equal(found.weights["head.bias"][1:], original.weights["head.bias"][[*range(30), 31]])


def test_without_a_vocabulary_the_output_is_left_out(directories, tmp_path):
    folder = rewrite(directories["wav2vec2 base"], tmp_path, lambda tensors: tensors)
    (folder / "vocab.json").unlink()
    found = read_pretrained(folder)
    assert found.tokenizer is None
    assert not any(name.startswith("head.") for name in found.weights)


@pytest.mark.parametrize("normalise", [True, False])
def test_waveforms_are_those_of_the_published_feature_extractor(normalise, tmp_path, directories):
    extractor: Any = Wav2Vec2FeatureExtractor(do_normalize=normalise, return_attention_mask=True)
    extractor.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_bytes((directories["wav2vec2 base"] / "config.json").read_bytes())
    settings = pretrained_features(tmp_path)
    assert settings == WaveformSettings(normalise)
    waveforms = [0.3 * noise(samples).numpy() + 0.1 for samples in (9_000, 4_001)]
    expected = extractor(waveforms, sampling_rate=16_000, padding=True, return_tensors="pt").input_values
    padded = nn.utils.rnn.pad_sequence([torch.from_numpy(waveform) for waveform in waveforms], batch_first=True)
    found, lengths = settings.build()(padded, torch.tensor([9_000, 4_001]))
    assert lengths.tolist() == [9_000, 4_001]
    torch.testing.assert_close(found[..., 0], expected, rtol=0, atol=1e-5)
