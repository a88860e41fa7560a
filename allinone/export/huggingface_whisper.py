"""A whole Whisper in a Hugging Face directory: encoder, attention decoder, byte-level pieces and how texts begin."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from allinone.export.extract import load_weights
from allinone.export.huggingface_parts import CTC, ENCODER, TOKENIZER_CONFIG, WEIGHTS, Directory, part
from allinone.export.uniform import pad_decoder_to_uniform, pad_to_uniform
from allinone.layers import WhisperLogMelSettings
from allinone.models import Layout, TransformerLayout
from allinone.models.huggingface import CONFIG, PREPROCESSOR, pretrained_decoder, read_pretrained
from allinone.models.published_decoder import publish_decoder, write_whisper_config
from allinone.models.published_weights import publish
from allinone.subnet import SubnetConfig
from allinone.tasks import SpeechNetwork, build_network
from allinone.text import BpeTokenizer
from allinone.text.bpe import END, NO_TIMESTAMPS, TOKENIZER, TRANSCRIBE

if TYPE_CHECKING:
    from allinone.tasks.speech import SpeechTask

GENERATION = "generation_config.json"
FILES = (CONFIG, WEIGHTS, TOKENIZER, TOKENIZER_CONFIG, PREPROCESSOR, GENERATION)
_SECONDS = 30  # that `transformers` fills every recording up to
_LANGUAGE = re.compile(r"<\|[a-z]{2,3}\|>")
_TASKS = {"transcribe": TRANSCRIBE, "translate": "<|translate|>"}


def is_whisper(layout: Layout) -> bool:
    """Whether an encoder is Whisper's."""
    return isinstance(layout, TransformerLayout) and layout.family == "whisper"


def require(task: "SpeechTask") -> None:
    """Raises ValueError if `transformers` has no such network, labels or features, or there is no attention decoder."""
    if task.attention is None:
        raise ValueError(
            "A Whisper that transformers opens requires an attention decoder; found a CTC output alone. Train one with "
            "a Whisper's decoder (attention=pretrained), or leave format=huggingface out: allinone's own format holds "
            "every network."
        )
    if not isinstance(task.tokenizer, BpeTokenizer):
        raise ValueError(
            "A Whisper that transformers opens requires Whisper's byte-level pieces as its labels; found "
            f"{type(task.tokenizer).__name__}. Train with tokenizer=pretrained, or leave format=huggingface out."
        )
    if not isinstance(task.features.settings, WhisperLogMelSettings):
        raise ValueError(
            "A Whisper that transformers opens requires Whisper's own features; found "
            f"{type(task.features.settings).__name__}. Train with features=pretrained, or leave format=huggingface out."
        )
    assert isinstance(task.layout, TransformerLayout)
    write_whisper_config(task.layout, task.attention, task.tokenizer)


def directory(task: "SpeechTask", subnet: SubnetConfig, weights: Mapping[str, Tensor]) -> Directory:
    """The encoder and the decoder of a member, a CTC output left out.

    Args:
        task: the supernet; :func:`require` does not object to it.
        subnet: the member.
        weights: of it, under the names of the plain network.
    """
    tokenizer, layers = task.tokenizer, task.decoder_layers(subnet)
    assert isinstance(task.layout, TransformerLayout)
    assert isinstance(tokenizer, BpeTokenizer)
    assert task.attention is not None
    layout, encoder = pad_to_uniform(task.layout, subnet, part(weights, ENCODER))
    attention, decoder = pad_decoder_to_uniform(task.attention, layers, part(weights, "decoder."))
    config = write_whisper_config(layout, attention, tokenizer)
    return Directory(
        layout=layout,
        attention=attention,
        vocab_size=tokenizer.vocab_size,
        left_out=CTC if task.ctc else None,
        tensors=publish(layout, encoder) | publish_decoder(attention, tokenizer.order, decoder),
        contents={
            CONFIG: config,
            TOKENIZER: json.loads(tokenizer.model),
            TOKENIZER_CONFIG: _settings(attention.places),
            PREPROCESSOR: _features(task.features.settings),
            GENERATION: _generation(config, tokenizer),
        },
    )


def read_back(folder: Path, task: "SpeechTask") -> SpeechNetwork:
    """The plain network that a directory holds."""
    read, tokenizer = read_pretrained(folder), task.tokenizer
    assert isinstance(tokenizer, BpeTokenizer)
    assert read.tokenizer is not None
    member = SubnetConfig.uniform(read.layout.num_layers, read.layout.ffn_dim)
    attention = pretrained_decoder(folder, language=tokenizer.language)
    network = build_network(read.layout, read.features, read.tokenizer, member, attention, ctc=False)
    load_weights(network, read.weights)
    return network


def _settings(places: int | None) -> dict[str, Any]:
    return {
        "tokenizer_class": "WhisperTokenizer",
        "processor_class": "WhisperProcessor",
        "add_prefix_space": False,
        "model_max_length": places,
        "clean_up_tokenization_spaces": False,
    } | dict.fromkeys(("bos_token", "eos_token", "pad_token", "unk_token"), END)


def _features(settings: Any) -> dict[str, Any]:
    samples = _SECONDS * settings.sample_rate
    return {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "processor_class": "WhisperProcessor",
        "feature_size": settings.bands,
        "sampling_rate": settings.sample_rate,
        "hop_length": 160,
        "n_fft": 400,
        "chunk_length": _SECONDS,
        "n_samples": samples,
        "nb_max_frames": settings.frames(samples),
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": False,
    }


def _generation(config: Mapping[str, Any], tokenizer: BpeTokenizer) -> dict[str, Any]:
    """How `transformers` begins and ends a text: by the tokenizer's prompt, and with no label forbidden."""
    place = {token: tokenizer.order[label] for label, token in enumerate(tokenizer.tokens)}
    same = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
    generation = {key: config[key] for key in same} | {
        "max_length": config["max_target_positions"],
        "no_timestamps_token_id": place[NO_TIMESTAMPS],
        "return_timestamps": False,
        "is_multilingual": tokenizer.language is not None,
    }
    if tokenizer.language is None:
        return generation
    return generation | {
        "language": f"<|{tokenizer.language}|>",
        "task": "transcribe",
        "lang_to_id": {token: label for token, label in place.items() if _LANGUAGE.fullmatch(token)},
        "task_to_id": {name: place[token] for name, token in _TASKS.items() if token in place},
    }
