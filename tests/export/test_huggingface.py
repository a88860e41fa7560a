"""A member that is written as a Hugging Face directory has in transformers the logits of the supernet's member."""

import copy
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCTC, AutoProcessor

from allinone.export import huggingface_ctc
from allinone.export.huggingface import write_huggingface
from allinone.layers import WaveformSettings
from allinone.models import DecoderLayout, TransformerLayout
from allinone.models.huggingface import read_pretrained
from allinone.models.published_config import read_layout
from allinone.quantization import AbsMax, Lsq, PerChannel, PerGroup, Quantizer
from allinone.subnet import SearchSpace, SubnetConfig
from allinone.tasks.speech import SpeechTask
from allinone.text import BpeTokenizer, CharTokenizer, SentencePieceTokenizer, Tokenizer, VocabularyTokenizer
from allinone.training.pretrained import take_over_pretrained
from tests.export import families
from tests.laws.transformers import LAYOUTS, make_transformer
from tests.published import CTC_KINDS, SYMBOLS
from tests.whisper_tokenizer import write_tokenizer

UNIFORM, FEW_BITS = "2-48-32bit-h4", "2-48-4bit-h4"
NARROW, FEW_HEADS, MIXED = "1-24-32bit-h4+1-48-32bit-h4", "2-24-32bit-h2", "1-24-4bit-h4+1-48-32bit-h2"
ENGLISH = VocabularyTokenizer(SYMBOLS)


@cache
def make_task(
    source: Path,
    tokenizer: Tokenizer = ENGLISH,
    quantizer: Quantizer | None = None,
    attention: DecoderLayout | None = None,
    front_end_bits: int | None = 32,
    ctc: bool = True,
) -> SpeechTask:
    """A supernet out of a directory, as after some training: heads and units sorted, all weights somewhere else."""
    layout = read_pretrained(source).layout
    settings: dict[str, Any] = {**vars(layout), "front_end_bits": front_end_bits}
    torch.manual_seed(0)
    task = SpeechTask(
        layout=TransformerLayout(**settings),
        space=SearchSpace((1, 2), (24, 48), (4, 8, 32), layerwise=True, heads=(2, 4)),
        tokenizer=tokenizer,
        quantizer=quantizer or Lsq(PerChannel()),
        features=WaveformSettings(),
        attention=attention,
        ctc=ctc,
    )
    take_over_pretrained(task, source)
    with torch.no_grad():
        for name, weight in task.named_parameters():
            if "numbers" not in name:
                weight.add_(0.02 * torch.randn_like(weight))
    return task.eval()


def write(task: SpeechTask, member: str, folder: Path, **changes: Any) -> Path:
    return write_huggingface(task, SubnetConfig.parse(member), folder, **changes)


def noise(samples: int) -> Tensor:
    return 0.1 * torch.randn(2, samples, generator=torch.Generator().manual_seed(1)) + 0.01


@torch.no_grad()
def assert_same_logits(task: SpeechTask, member: str, folder: Path) -> None:
    model, processor = AutoModelForCTC.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    for samples in (9_000, 4_321):
        waveforms = noise(samples)
        inputs = processor([row.numpy() for row in waveforms], sampling_rate=16_000, return_tensors="pt")
        found = model.eval()(**inputs).logits.log_softmax(-1)
        expected = task(waveforms, torch.tensor([samples] * 2), SubnetConfig.parse(member)).log_probs
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("member", [UNIFORM, FEW_BITS, NARROW, FEW_HEADS, MIXED])
@pytest.mark.parametrize("kind", CTC_KINDS)
@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask:UserWarning")
def test_a_written_member_has_the_logits_of_the_supernet_in_transformers(kind, member, directories, tmp_path):
    task = make_task(directories[kind])
    assert_same_logits(task, member, write(task, member, tmp_path / "member"))


CHANGES = [{"quantizer": AbsMax()}, {"quantizer": Lsq(PerGroup(4))}, {"front_end_bits": 8}, {"front_end_bits": None}]


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_rounded_weights_are_written_as_what_they_are_rounded_to(changes, directories, tmp_path):
    task = make_task(directories["hubert base"], **changes)
    folder = write(task, FEW_BITS, tmp_path / "member")
    assert_same_logits(task, FEW_BITS, folder)
    assert "written in float32" in (folder / "README.md").read_text()


def test_a_uniform_member_of_full_precision_comes_back_bit_for_bit(directories, tmp_path):
    task = make_task(directories["wav2vec2 large"])
    again = read_pretrained(write(task, UNIFORM, tmp_path / "member"))
    assert again.tokenizer == task.tokenizer
    assert again.features == task.features.settings
    assert again.layout == task.layout
    expected = task.weights(SubnetConfig.parse(UNIFORM))
    assert again.weights.keys() == expected.keys()
    assert all(torch.equal(again.weights[name], weight) for name, weight in expected.items())  # pyright: ignore


def test_depth_and_width_of_what_is_written_are_the_members(directories, tmp_path):
    task = make_task(directories["wavlm large"])
    layout = read_pretrained(write(task, "1-24-32bit-h2", tmp_path / "member")).layout
    assert (layout.num_layers, layout.ffn_dim, layout.num_heads) == (1, 24, 4)


def test_the_directory_holds_what_it_should_and_the_card_tells_what_was_changed(directories, tmp_path):
    folder = tmp_path / "deep" / "member"
    results = {"test-clean": {"wer": 5.81}}
    write(
        make_task(directories["wav2vec2 base"]),
        MIXED,
        folder,
        results=results,
        about_data="Speech, CC0.",
        data_hash="ab",
    )
    assert {path.name for path in folder.iterdir()} == {*huggingface_ctc.FILES, "README.md"}
    assert read_layout(json.loads((folder / "config.json").read_text()), "").num_heads == 4
    card = (folder / "README.md").read_text()
    for sentence in (
        f"# Speech recogniser {MIXED}",
        "Layers of fewer than 48 feed-forward units are filled up with zeros to that many",
        "Layers of fewer than 4 attention heads are filled up with zeros to that many",
        "The weights are the values that few bits hold, written in float32",
        "| WER on test-clean | 5.81 % |",
        "Give utterances of different lengths one by one",
        "Speech, CC0. Hash of the training data: `ab`.",
    ):
        assert sentence in card
    plain = (write(make_task(directories["wav2vec2 large"]), UNIFORM, tmp_path / "plain") / "README.md").read_text()
    assert "filled up" not in plain
    assert "float32: the directory" not in plain
    assert "told apart by the attention mask" in plain


def test_an_attention_decoder_is_left_out_and_that_is_said(directories, tmp_path, caplog):
    decoder = DecoderLayout(num_layers=1, ffn_dim=16, num_heads=2, dropout=0.0)
    task = make_task(directories["data2vec"], attention=decoder)
    folder = write(task, UNIFORM, tmp_path / "member")
    assert_same_logits(task, UNIFORM, folder)
    assert "The attention decoder that was trained with it is left out" in (folder / "README.md").read_text()
    assert "The attention decoder of 2-48-32bit-h4 is left out" in caplog.text


def test_a_network_without_a_ctc_output_is_refused(directories, tmp_path):
    decoder = DecoderLayout(num_layers=1, ffn_dim=16, num_heads=2, dropout=0.0)
    task = make_task(directories["data2vec"], attention=decoder, ctc=False)
    refused(task, UNIFORM, tmp_path / "member", "a CTC output; found one without. Leave format=huggingface out")


TEXTS = ["the cat sat on the mat", "a cat and a hat", "that is that"] * 3


@pytest.mark.parametrize(
    "tokenizer",
    [CharTokenizer(), ENGLISH, VocabularyTokenizer(("[PAD]", "[UNK]", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "|")),
     SentencePieceTokenizer.train(TEXTS, vocab_size=18)],
    ids=["characters", "published", "other specials", "pieces"],
)  # fmt: skip
def test_labels_are_written_as_text_by_the_tokenizer_of_the_directory(tokenizer, directories, tmp_path):
    task = make_task(directories["hubert large"], tokenizer)
    processor: Any = AutoProcessor.from_pretrained(write(task, UNIFORM, tmp_path / "member"))
    assert len(processor.tokenizer) == tokenizer.vocab_size
    for text in TEXTS[:3]:
        frames = [frame for label in tokenizer.encode(text) for frame in (label, label, 0)]
        assert processor.decode(frames).lower() == text == tokenizer.decode(tokenizer.encode(text))


def test_an_earlier_export_is_replaced_only_if_asked_and_nothing_else_ever(directories, tmp_path):
    task, folder = make_task(directories["wav2vec2 base"]), tmp_path / "member"
    write(task, UNIFORM, folder)
    with pytest.raises(ValueError, match=r"must be a folder that is new or empty"):
        write(task, FEW_BITS, folder)
    write(task, FEW_BITS, folder, overwrite=True)
    assert json.loads((folder / "config.json").read_text())["allinone"] == {"member": FEW_BITS}
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"must be a folder that is new or empty"):
        write(task, UNIFORM, folder, overwrite=True)
    with pytest.raises(ValueError, match=r"must be a folder that is new or empty"):
        write(task, UNIFORM, directories["wav2vec2 base"], overwrite=True)


def refused(task: SpeechTask, member: str, folder: Path, *parts: str) -> None:
    with pytest.raises(ValueError, match=".*".join(map(re.escape, parts))):
        write(task, member, folder)
    assert not folder.exists()


def test_networks_that_transformers_does_not_have_are_refused(tmp_path):
    refused(families.make_task(), "2-32-4bit", tmp_path / "conformer", "wavlm, data2vec-audio; found ConformerLayout.")
    wide = make_transformer(LAYOUTS["wide heads"])
    refused(wide, "2-12-4bit-h2", tmp_path / "wide", "requires an encoder as Hubert has it; found TransformerLayout")


def test_labels_that_transformers_cannot_write_are_refused(directories, tmp_path):
    """Its tokenizers of CTC outputs know no bytes."""
    task = make_task(directories["hubert base"], BpeTokenizer.read(write_tokenizer(tmp_path)))
    refused(task, UNIFORM, tmp_path / "bytes", "characters or pieces of text; found Whisper's pieces", "Take another")


def test_a_member_that_is_none_and_weights_that_are_not_finite_are_refused(directories, tmp_path):
    refused(make_task(directories["hubert base"]), "2-40-32bit-h4", tmp_path / "other", "2-40-32bit-h4")
    task = copy.deepcopy(make_task(directories["hubert base"]))
    assert task.head is not None
    with torch.no_grad():
        task.head.bias[3] = torch.nan
    refused(task, UNIFORM, tmp_path / "diverged", "must be finite; found NaN or infinity in head.bias.", "diverged")


def test_what_does_not_come_back_as_the_member_is_not_left_there(directories, tmp_path, monkeypatch):
    task, published = make_task(directories["wav2vec2 base"]), huggingface_ctc.publish

    def broken(*arguments: Any) -> dict[str, Tensor]:
        return {name: weight + 0.1 * (weight.dim() == 2) for name, weight in published(*arguments).items()}

    monkeypatch.setattr(huggingface_ctc, "publish", broken)
    with pytest.raises(RuntimeError, match=r"the outputs must be within 0\.0001 of the supernet's; found a difference"):
        write(task, UNIFORM, tmp_path / "member")
    assert not (tmp_path / "member").exists()
