"""A whole Whisper that is written as a Hugging Face directory says in transformers what the supernet's member says."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoProcessor,
    AutoTokenizer,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
    pipeline,
)

from allinone.decoding import Joint
from allinone.export import huggingface_whisper
from allinone.export.huggingface import write_huggingface
from allinone.layers import LogMelSettings, WhisperLogMelSettings
from allinone.models import DecoderLayout, SpectrogramLayout, TransformerLayout
from allinone.models.huggingface import read_pretrained
from allinone.quantization import AbsMax, Lsq, PerChannel, Quantizer
from allinone.subnet import SearchSpace, SubnetConfig
from allinone.tasks.speech import SpeechTask
from allinone.text import BpeTokenizer, CharTokenizer
from tests.whisper_tokenizer import TEXTS, write_tokenizer

UNIFORM, FEW_BITS = "2-48-32bit-h4_3-40-32bit-h2", "2-48-4bit-h4_2-40-4bit-h2"
NARROW = "1-24-32bit-h4+1-48-32bit-h4_2-20-32bit-h2+1-40-32bit-h2"
FEW_HEADS, MIXED = "2-24-32bit-h2_1-20-32bit-h1", "1-24-4bit-h4+1-48-32bit-h2_1-40-8bit-h1+1-20-32bit-h2"
SAMPLES, PLACES = 480_000, 24
GREEDY = Joint(beam_size=1, ctc_weight=0.0)
ENCODER = TransformerLayout(2, 32, 48, 4, SpectrogramLayout(), "whisper", norm_first=True, key_bias=False, dropout=0.0)


@pytest.fixture(scope="module")
def english(tmp_path_factory) -> BpeTokenizer:
    return BpeTokenizer.read(write_tokenizer(tmp_path_factory.mktemp("english")))


@pytest.fixture(scope="module")
def german(tmp_path_factory) -> BpeTokenizer:
    folder = write_tokenizer(tmp_path_factory.mktemp("german"), multilingual=True)
    return BpeTokenizer.read(folder, language="de")


def decoder_layout(tokenizer: BpeTokenizer, **changes: Any) -> DecoderLayout:
    ways = {"activation": "gelu", "key_bias": False, "tied": True, "places": PLACES, "prompt": tokenizer.prompt}
    return DecoderLayout(3, 40, 2, 0.0, **{**ways, **changes})


@cache
@torch.no_grad()
def make_task(
    tokenizer: BpeTokenizer,
    quantizer: Quantizer | None = None,
    elastic: bool = True,
    ctc: bool = False,
    end: float = 3.5,
) -> SpeechTask:
    """A supernet as after some training; ``end`` is how ready its decoder is to end a text."""
    torch.manual_seed(0)
    decoder = SearchSpace((1, 2, 3), (20, 40), (4, 8, 32), layerwise=True, heads=(1, 2))
    task = SpeechTask(
        layout=ENCODER,
        space=SearchSpace((1, 2), (24, 48), (4, 8, 32), True, decoder=decoder if elastic else None, heads=(2, 4)),
        tokenizer=tokenizer,
        quantizer=quantizer or Lsq(PerChannel()),
        features=WhisperLogMelSettings(),
        attention=decoder_layout(tokenizer),
        ctc=ctc,
    )
    for name, weight in task.named_parameters():
        weight.add_(0.1 * torch.randn_like(weight)).mul_(4 if "cross_attention" in name and weight.dim() == 2 else 1)
    weights = dict(task.named_parameters())
    label = weights["decoder.embedding.module.labels.weight"][0]
    weights["decoder.output.module.norm.bias"].add_(end * label)
    return task.eval()


def write(task: SpeechTask, member: str, folder: Path, **changes: Any) -> Path:
    return write_huggingface(task, SubnetConfig.parse(member), folder, **changes)


def noise(recordings: int, samples: int = SAMPLES, spoken: int = SAMPLES) -> Tensor:
    """Recordings that differ in loudness from second to second; the last of them is silent behind what is spoken."""
    generator = torch.Generator().manual_seed(1)
    loudness = torch.rand(recordings, samples // 16_000 + 1, generator=generator).repeat_interleave(16_000, 1)
    waveforms = 0.3 * loudness[:, :samples] * torch.randn(recordings, samples, generator=generator)
    waveforms[-1, spoken:] = 0
    return waveforms


def opened(folder: Path) -> tuple[Any, Any]:
    return WhisperForConditionalGeneration.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)


def theirs(processor: Any, waveforms: Tensor) -> Tensor:
    return processor([row.numpy() for row in waveforms], sampling_rate=16_000, return_tensors="pt").input_features


@torch.no_grad()
def assert_same_logits(task: SpeechTask, member: str, folder: Path) -> None:
    model, processor = opened(folder)
    tokenizer = task.tokenizer
    assert isinstance(tokenizer, BpeTokenizer)
    waveforms = noise(2, spoken=50_000)
    labels = torch.tensor([tokenizer.encode(text)[:4] for text in TEXTS[:2]])
    heard = task(waveforms, torch.tensor([SAMPLES] * 2), SubnetConfig.parse(member))
    expected = heard.required_speller()(heard.encoded, heard.lengths, labels)
    order = torch.tensor(tokenizer.order)
    given = order[torch.cat((torch.tensor([tokenizer.prompt] * 2), labels), 1)]
    found = model(theirs(processor, waveforms), decoder_input_ids=given).logits[..., order].log_softmax(-1)
    torch.testing.assert_close(found[:, len(tokenizer.prompt) - 1 :], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("member", [UNIFORM, FEW_BITS, NARROW, FEW_HEADS, MIXED])
def test_a_written_member_has_the_logits_of_the_supernet_in_transformers(member, english, tmp_path):
    task = make_task(english)
    assert_same_logits(task, member, write(task, member, tmp_path / "member"))


def test_members_with_the_whole_decoder_and_other_quantisers_are_written_too(english, tmp_path):
    task = make_task(english, AbsMax(), elastic=False)
    assert_same_logits(task, "2-24-4bit-h2", write(task, "2-24-4bit-h2", tmp_path / "member"))


@torch.no_grad()
@pytest.mark.parametrize("language", ["english", "german"])
def test_texts_that_transformers_generates_are_those_of_our_greedy_search(language, request, tmp_path):
    tokenizer = request.getfixturevalue(language)
    task = make_task(tokenizer)
    model, processor = opened(write(task, MIXED, tmp_path / "member"))
    waveforms = noise(4)
    heard = task(waveforms, torch.tensor([SAMPLES] * 4), SubnetConfig.parse(MIXED))
    expected = [texts[0].labels for texts in GREEDY.search(heard)]
    assert len({len(text) for text in expected}) > 2  # ended by the network, and by the places
    found = model.generate(theirs(processor, waveforms)).tolist()
    end = tokenizer.order[0]
    assert [[label for label in text if label != end] for text in found] == [
        [tokenizer.order[label] for label in text] for text in expected
    ]
    texts = [text.strip() for text in processor.batch_decode(found, skip_special_tokens=True)]
    assert texts == [tokenizer.decode(text) for text in expected]


@torch.no_grad()
def test_the_code_of_the_card_hears_a_recording_as_long_as_it_is(english, tmp_path, capsys):
    task = make_task(english)
    folder = write(task, NARROW, tmp_path / "member")
    waveform = noise(2, samples=70_123)[0]
    card = (folder / "README.md").read_text()
    code = card.split("```python")[1].split("```")[0].replace("path/to/this/folder", str(folder))
    given: dict[str, Any] = {"waveform": waveform.numpy()}
    exec(code, given)
    whole = waveform[: 70_123 // 320 * 320]
    heard = task(whole[None], torch.tensor([len(whole)]), SubnetConfig.parse(NARROW))
    assert capsys.readouterr().out.strip() == english.decode(GREEDY.search(heard)[0][0].labels)
    features = given["processor"](whole.numpy(), sampling_rate=16_000, padding=False, return_tensors="pt")
    found = given["model"].model.encoder(features.input_features).last_hidden_state
    torch.testing.assert_close(found, heard.encoded, rtol=0, atol=1e-4)


@torch.no_grad()
def test_a_pipeline_says_the_text_of_the_recording_with_silence_behind_it(english, tmp_path):
    task = make_task(english)
    folder = write(task, UNIFORM, tmp_path / "member")
    waveforms = noise(1, spoken=60_000)
    heard = task(waveforms, torch.tensor([SAMPLES]), SubnetConfig.parse(UNIFORM))
    recogniser: Any = pipeline("automatic-speech-recognition", model=str(folder), generate_kwargs={"num_beams": 1})
    found = recogniser({"raw": waveforms[0, :60_000].numpy(), "sampling_rate": 16_000})["text"]
    assert found.strip() == english.decode(GREEDY.search(heard)[0][0].labels)


@pytest.mark.parametrize("language", ["english", "german"])
def test_texts_have_the_labels_of_the_tokenizer_of_the_directory(language, request, tmp_path):
    tokenizer = request.getfixturevalue(language)
    folder = write(make_task(tokenizer), UNIFORM, tmp_path / "member")
    assert isinstance(WhisperProcessor.from_pretrained(folder).tokenizer, WhisperTokenizer)
    for kind in (WhisperTokenizer, AutoTokenizer):
        other: Any = kind.from_pretrained(folder)
        assert len(other) == tokenizer.vocab_size
        assert other.convert_ids_to_tokens(list(tokenizer.order)) == list(tokenizer.tokens)
        for text in (*TEXTS, "Häuser? 3 €", ""):
            places = [tokenizer.order[label] for label in tokenizer.encode(text)]
            assert other(f" {text}" if text else "", add_special_tokens=False).input_ids == places
            spoken = [tokenizer.order[label] for label in tokenizer.prompt] + places + [tokenizer.order[0]]
            assert other.decode(spoken, skip_special_tokens=True).strip() == text


@pytest.mark.parametrize("language", ["english", "german"])
def test_a_uniform_member_of_full_precision_comes_back_bit_for_bit(language, request, tmp_path):
    tokenizer = request.getfixturevalue(language)
    task = make_task(tokenizer)
    again = read_pretrained(write(task, UNIFORM, tmp_path / "member"))
    assert again.layout == task.layout
    assert again.attention == task.attention
    assert again.tokenizer == tokenizer
    assert again.features == task.features.settings
    expected = task.weights(SubnetConfig.parse(UNIFORM))
    assert again.weights.keys() == expected.keys()
    assert all(torch.equal(again.weights[name], weight) for name, weight in expected.items())  # pyright: ignore


def test_depths_and_widths_of_encoder_and_decoder_are_the_members(english, tmp_path):
    again = read_pretrained(write(make_task(english), "1-24-32bit-h2_2-20-32bit-h1", tmp_path / "member"))
    assert (again.layout.num_layers, again.layout.ffn_dim, again.layout.num_heads) == (1, 24, 4)
    assert again.attention is not None
    assert (again.attention.num_layers, again.attention.ffn_dim, again.attention.num_heads) == (2, 20, 2)


def test_a_ctc_output_is_left_out_and_that_is_said(english, tmp_path, caplog):
    task = make_task(english, ctc=True)
    folder = write(task, UNIFORM, tmp_path / "member")
    assert_same_logits(task, UNIFORM, folder)
    assert "The CTC output that was trained with it is left out" in (folder / "README.md").read_text()
    assert f"The CTC output of {UNIFORM} is left out: such a directory has the attention decoder alone." in caplog.text


def test_the_directory_holds_what_it_should_and_the_card_tells_what_was_changed(english, tmp_path):
    results = {"test": {"wer": 5.81}}
    folder = write(make_task(english), MIXED, tmp_path / "deep" / "member", results=results, about_data="Speech, CC0.")
    assert {path.name for path in folder.iterdir()} == {*huggingface_whisper.FILES, "README.md"}
    card = (folder / "README.md").read_text()
    for sentence in (
        f"# Speech recogniser {MIXED}",
        "of the family whisper: 1 layer of 24 feed-forward units, 4 attention heads and 4 bits per weight",
        "its attention decoder has 1 layer of 40 feed-forward units, 1 attention head and 8 bits per weight, then",
        "Encoder layers of fewer than 48 feed-forward units are filled up with zeros",
        "Encoder layers of fewer than 4 attention heads are filled up with zeros",
        "Decoder layers of fewer than 40 feed-forward units are filled up with zeros",
        "Decoder layers of fewer than 2 attention heads are filled up with zeros",
        "| output | 295 labels, an attention decoder |",
        "| WER on test | 5.81 % |",
        "fills\nevery recording up to 30 s with silence, on which it was neither trained nor measured",
        "Compare both ways on recordings of yours.\n\n## Training data",
        "Speech, CC0.",
    ):
        assert sentence in card
    whole = (write(make_task(english, elastic=False), "2-48-32bit-h4", tmp_path / "whole") / "README.md").read_text()
    assert "filled up" not in whole.split("## Use")[0]
    assert "its attention decoder has 3 layers of 40 feed-forward units and 32 bits per weight" in whole


def test_an_earlier_export_is_replaced_only_if_asked_and_nothing_else_ever(english, tmp_path):
    task, folder = make_task(english), tmp_path / "member"
    write(task, UNIFORM, folder)
    with pytest.raises(ValueError, match=r"must be a folder that is new or empty"):
        write(task, MIXED, folder)
    write(task, MIXED, folder, overwrite=True)
    assert json.loads((folder / "config.json").read_text())["allinone"] == {"member": MIXED}
    (folder / "vocab.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"must be a folder that is new or empty"):
        write(task, UNIFORM, folder, overwrite=True)


def refused(folder: Path, *parts: str, **changes: Any) -> None:
    """What is refused of a network that differs from Whisper."""
    tokenizer = BpeTokenizer.read(write_tokenizer(folder))
    settings = {"layout": ENCODER, "tokenizer": tokenizer, "features": WhisperLogMelSettings(), "ctc": False}
    settings |= {"attention": decoder_layout(tokenizer), "space": SearchSpace((2,), (48,)), "quantizer": Lsq()}
    with pytest.raises(ValueError, match=".*".join(map(re.escape, parts))):
        write(SpeechTask(**(settings | changes)), "2-48-32bit", folder / "member")  # pyright: ignore
    assert not (folder / "member").exists()


def test_networks_that_transformers_does_not_have_are_refused(english, tmp_path):
    refused(
        tmp_path,
        "requires an attention decoder; found a CTC output alone. Train one with a Whisper's decoder",
        "leave format=huggingface out",
        attention=None,
        ctc=True,
    )
    characters = {"tokenizer": CharTokenizer(), "attention": decoder_layout(english, prompt=(0,))}
    refused(tmp_path, "byte-level pieces as its labels; found CharTokenizer. Train with", **characters)
    refused(tmp_path, "requires Whisper's own features; found LogMelSettings. Train", features=LogMelSettings())
    plain = DecoderLayout(num_layers=1, ffn_dim=16, num_heads=2)
    refused(tmp_path, "requires a decoder with the prompt", "found DecoderLayout(num_layers=1", attention=plain)
    for changes in ({"prompt": (1,)}, {"key_bias": True}, {"activation": "silu"}, {"tied": False}, {"head_dim": 8}):
        refused(tmp_path, "requires a decoder with the prompt", attention=decoder_layout(english, **changes))
    wide = TransformerLayout(2, 32, 48, 4, SpectrogramLayout(), "whisper", norm_first=True, key_bias=False, head_dim=6)
    refused(tmp_path, "requires an encoder, as Whisper has it; found TransformerLayout", layout=wide)


def test_what_does_not_come_back_as_the_member_is_not_left_there(english, tmp_path, monkeypatch):
    published = huggingface_whisper.publish_decoder

    def broken(*arguments: Any) -> dict[str, Tensor]:
        return {name: weight + 0.1 * ("fc1" in name) for name, weight in published(*arguments).items()}

    monkeypatch.setattr(huggingface_whisper, "publish_decoder", broken)
    with pytest.raises(RuntimeError, match=r"the outputs must be within 0\.0001 of the supernet's; found a difference"):
        write(make_task(english), UNIFORM, tmp_path / "member")
    assert not (tmp_path / "member").exists()
