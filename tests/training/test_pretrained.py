"""A supernet that starts from a pretrained network: its largest member computes what the network did."""

import re
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from allinone.layers import LogMelSettings, WaveformSettings, WhisperLogMelSettings
from allinone.models import TransformerLayout, weight_files
from allinone.models.huggingface import pretrained_layout
from allinone.models.importance import head_norms, unit_norms
from allinone.quantization import Lsq
from allinone.subnet import SearchSpace
from allinone.tasks.speech import SpeechTask
from allinone.text import CharTokenizer, VocabularyTokenizer
from allinone.training.pretrained import is_pretrained, labels_of, refuse_other_features, take_over_pretrained
from tests.models.test_torchaudio_names import make as make_torchaudio
from tests.published import CTC_KINDS, SYMBOLS, make_published, make_whisper

ELASTIC = SearchSpace((1, 2), (24, 48), (4, 32), heads=(2, 4))
RIGID = SearchSpace((2,), (48,), (32,))


def make_task(layout: TransformerLayout, space: SearchSpace = ELASTIC, **changes: Any) -> SpeechTask:
    torch.manual_seed(3)
    parts: dict[str, Any] = {"tokenizer": VocabularyTokenizer(SYMBOLS), "features": WaveformSettings()} | changes
    return SpeechTask(layout=layout, space=space, quantizer=Lsq(), **parts)


@torch.no_grad()
def largest(task: SpeechTask, waveforms: Tensor) -> Tensor:
    lengths = torch.tensor([waveforms.shape[1]] * len(waveforms))
    return task.eval()(waveforms, lengths, task.space.largest).log_probs


@torch.no_grad()
def published(kind: str, waveforms: Tensor) -> Tensor:
    normal = (waveforms - waveforms.mean(1, keepdim=True)) / (
        waveforms.var(1, correction=0, keepdim=True) + 1e-7
    ).sqrt()
    return make_published(kind)(normal).logits.log_softmax(-1)


def noise() -> Tensor:
    return torch.randn(2, 9_000, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("space", [ELASTIC, RIGID], ids=str)
@pytest.mark.parametrize("kind", CTC_KINDS)
def test_the_largest_member_has_the_outputs_of_the_network_that_it_starts_from(kind, space, directories):
    task = make_task(pretrained_layout(directories[kind], dropout=0.3, frozen=False), space)
    take_over_pretrained(task, directories[kind])
    torch.testing.assert_close(largest(task, noise()), published(kind, noise()), rtol=0, atol=1e-4)


def test_units_and_heads_are_sorted_where_members_have_fewer_and_scales_are_set(directories):
    folder = directories["wavlm base"]
    task = make_task(pretrained_layout(folder))
    before = task.encoder.layers[0].log_scales["feed_forward/up/weight"].clone()  # pyright: ignore
    take_over_pretrained(task, folder)
    for scores in (*unit_norms(task).values(), *head_norms(task).values()):
        assert (scores.diff() <= 0).all()
    assert not torch.equal(before, task.encoder.layers[0].log_scales["feed_forward/up/weight"])  # pyright: ignore


@pytest.mark.parametrize("space", [ELASTIC, RIGID], ids=str)
def test_no_more_than_a_layer_of_the_directory_is_in_memory_at_a_time(space, directories, monkeypatch):
    folder = directories["wavlm base"]
    task, read = make_task(pretrained_layout(folder), space), weight_files._read_tensor
    held: set[tuple[str, int]] = set()
    most: list[int] = []

    def watched(path: Path, key: str) -> Tensor:
        weight = read(path, key)
        held.add((key, id(weight)))
        weakref.finalize(weight.untyped_storage(), held.discard, (key, id(weight)))
        most.append(len(held))
        return weight

    monkeypatch.setattr(weight_files, "_read_tensor", watched)
    take_over_pretrained(task, folder)
    of_a_layer = len(task.encoder.layers[1].module.state_dict())  # pyright: ignore
    assert max(most) <= of_a_layer + 2
    assert len(most) > 2 * of_a_layer


def test_a_network_of_one_width_and_all_heads_takes_the_weights_as_they_are(directories):
    task = make_task(pretrained_layout(directories["hubert base"]), RIGID)
    take_over_pretrained(task, directories["hubert base"])
    expected = make_published("hubert base").state_dict()[
        "hubert.encoder.layers.1.feed_forward.intermediate_dense.weight"
    ]
    assert torch.equal(task.state_dict()["encoder.layers.1.module.feed_forward.up.weight"], expected)


def test_a_smaller_network_has_the_first_layers_and_the_strongest_units(directories):
    folder = directories["wav2vec2 large"]
    task = make_task(pretrained_layout(folder), SearchSpace((1,), (24,), (32,)))
    take_over_pretrained(task, folder)
    weights = make_published("wav2vec2 large").state_dict()
    up = weights["wav2vec2.encoder.layers.0.feed_forward.intermediate_dense.weight"]
    down = weights["wav2vec2.encoder.layers.0.feed_forward.output_dense.weight"]
    strongest = (up.norm(dim=1) * down.norm(dim=0)).topk(24).indices
    torch.testing.assert_close(task.state_dict()["encoder.layers.0.module.feed_forward.up.weight"], up[strongest])


def test_an_output_that_is_not_there_or_of_other_labels_begins_anew(directories, caplog):
    folder = directories["data2vec"]
    for labels in (CharTokenizer(), VocabularyTokenizer(("<pad>", "|", "A"))):
        task = make_task(pretrained_layout(folder), tokenizer=labels)
        assert task.head is not None
        head = task.head.weight.detach().clone()
        with caplog.at_level("INFO"):
            take_over_pretrained(task, folder)
        assert torch.equal(task.head.weight, head)
        assert "has other labels than the network: its CTC output is left out" in caplog.text
        assert "; the CTC output begins anew." in caplog.text


def test_whisper_brings_its_encoder_alone(tmp_path):
    make_whisper().save_pretrained(tmp_path)
    task = make_task(pretrained_layout(tmp_path), tokenizer=CharTokenizer(), features=WhisperLogMelSettings())
    take_over_pretrained(task, tmp_path)
    assert labels_of(tmp_path) is None
    features = torch.randn(1, 3000, 80)
    with torch.no_grad():
        found, _ = task.eval().encoder(features, torch.tensor([3000]), task.space.largest)
        expected = make_whisper().encoder(features.transpose(1, 2)).last_hidden_state
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask:UserWarning")
@pytest.mark.parametrize("buckets", [None, 16])
def test_a_state_dict_of_torchaudio_brings_its_encoder(buckets, tmp_path):
    network, layout = make_torchaudio(large=True, buckets=buckets)
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    assert is_pretrained(tmp_path / "weights.pt")
    assert labels_of(tmp_path / "weights.pt") is None
    task = make_task(layout, features=WaveformSettings(normalise=False))
    take_over_pretrained(task, tmp_path / "weights.pt")
    with torch.no_grad():
        found, _ = task.eval().encoder(noise()[..., None], torch.tensor([9_000] * 2), task.space.largest)
        expected = network.encoder(network.feature_extractor(noise(), None)[0], None)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_what_is_pretrained_is_told_from_what_is_ours(directories, tmp_path):
    folder = directories["wav2vec2 base"]
    assert is_pretrained(folder)
    assert labels_of(folder) == VocabularyTokenizer(SYMBOLS)
    assert not is_pretrained(tmp_path / "model.ckpt")
    (tmp_path / "config.yaml").write_text("")
    with pytest.raises(ValueError, match=r"a directory with a config\.json, .*; found config\.yaml in .*\. Name such"):
        is_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "manifest.json").write_text("{}")
    assert not is_pretrained(tmp_path)


def refused(task: SpeechTask, source: Path, *parts: str) -> None:
    with pytest.raises(ValueError, match=".*".join(map(re.escape, parts))):
        take_over_pretrained(task, source)


def test_another_network_or_other_features_are_refused(directories, tmp_path):
    large = make_task(pretrained_layout(directories["wav2vec2 large"]))
    refused(large, directories["wav2vec2 base"], "requires its network, TransformerLayout(", "Give network=pretrained")
    raw = make_task(pretrained_layout(directories["hubert base"]), features=WaveformSettings(normalise=False))
    refused(
        raw, directories["hubert base"], "WaveformSettings(normalise=True); found WaveformSettings(normalise=False)"
    )
    torch.save(make_torchaudio(large=False, buckets=None)[0].state_dict(), tmp_path / "small.pt")
    refused(
        large, tmp_path / "small.pt", "requires the tensor feature_extractor.conv_layers.0.conv.bias; found none in"
    )
    torch.save({"model.weight": torch.ones(1)}, tmp_path / "other.pt")
    refused(
        large, tmp_path / "other.pt", "names of torchaudio's", "found model.weight in", "Give a Hugging Face directory"
    )


def test_features_that_do_not_suit_the_network_are_refused_with_those_that_do(directories, tmp_path):
    make_whisper().save_pretrained(tmp_path)
    raw, whisper = pretrained_layout(directories["hubert base"]), pretrained_layout(tmp_path)
    refuse_other_features(raw, WaveformSettings())
    refuse_other_features(whisper, WhisperLogMelSettings())
    with pytest.raises(
        ValueError, match=r"hubert requires raw audio as features; found LogMel.*Give features=waveform"
    ):
        refuse_other_features(raw, LogMelSettings())
    for features in (LogMelSettings(), WhisperLogMelSettings(128), WaveformSettings()):
        with pytest.raises(
            ValueError, match=r"log-mel energies of 80 bands as features; found .*Give features=whisper"
        ):
            refuse_other_features(whisper, features)
