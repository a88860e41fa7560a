"""What tests share about published networks: tiny ones of every family with random weights, from transformers."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import (
    Data2VecAudioConfig,
    Data2VecAudioForCTC,
    HubertConfig,
    HubertForCTC,
    Wav2Vec2Config,
    Wav2Vec2ForCTC,
    WavLMConfig,
    WavLMForCTC,
    WhisperConfig,
    WhisperForConditionalGeneration,
    WhisperModel,
)

from tests.whisper_tokenizer import LABELS, PIECES, write_tokenizer

SYMBOLS = ("<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ")
_SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": len(SYMBOLS),
}
_LARGE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
_KINDS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "wav2vec2 base": (Wav2Vec2Config, Wav2Vec2ForCTC, {}),
    "wav2vec2 large": (Wav2Vec2Config, Wav2Vec2ForCTC, _LARGE),
    "wav2vec2 large, group norm": (Wav2Vec2Config, Wav2Vec2ForCTC, {"do_stable_layer_norm": True, "conv_bias": True}),
    "hubert base": (HubertConfig, HubertForCTC, {}),
    "hubert large": (HubertConfig, HubertForCTC, _LARGE),
    "hubert without feature norm": (HubertConfig, HubertForCTC, {"feat_proj_layer_norm": False}),
    "wavlm base": (WavLMConfig, WavLMForCTC, {}),
    "wavlm large": (WavLMConfig, WavLMForCTC, {**_LARGE, "num_buckets": 16, "max_bucket_distance": 20}),
    "data2vec": (
        Data2VecAudioConfig,
        Data2VecAudioForCTC,
        {"num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 5},
    ),
}
CTC_KINDS = tuple(_KINDS)
GROUP_NORM = tuple(kind for kind in _KINDS if "base" in kind or "group" in kind or "without" in kind)


@cache
def make_published(kind: str) -> Any:
    """A tiny network with a CTC output, its weights far from those that norms and biases begin with."""
    config, network, settings = _KINDS[kind]
    torch.manual_seed(0)
    return perturb_published(network(config(**{**_SMALL, **settings})))


@cache
def make_whisper() -> Any:
    """A tiny Whisper of 30 s."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 32}
    config = WhisperConfig(
        d_model=32, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=48, vocab_size=60000, **sizes
    )
    network = WhisperModel(config)
    positions = network.encoder.embed_positions.weight.clone()
    perturb_published(network)
    network.encoder.embed_positions.weight.data.copy_(positions)
    return network


@cache
def make_whole_whisper() -> Any:
    """A tiny one of 30 s with its decoder, in which no label is the padding."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"d_model": 32, "vocab_size": LABELS, "encoder_layers": 2, "decoder_layers": 3}
    sizes |= {"encoder_attention_heads": 4, "decoder_attention_heads": 2, "encoder_ffn_dim": 48, "decoder_ffn_dim": 40}
    ends = {"pad_token_id": None, "bos_token_id": PIECES, "eos_token_id": PIECES, "decoder_start_token_id": PIECES + 1}
    network = WhisperForConditionalGeneration(WhisperConfig(**sizes, **ends))
    positions = network.model.encoder.embed_positions.weight.clone()
    perturb_published(network)
    network.model.encoder.embed_positions.weight.data.copy_(positions)
    return network


def save_whole_whisper(folder: Path) -> Path:
    """Its directory, with the tokenizer of the tests."""
    make_whole_whisper().save_pretrained(folder)
    return write_tokenizer(folder, config=json.loads((folder / "config.json").read_text()))


@torch.no_grad()
def perturb_published(network: Any) -> Any:
    """The network with all its weights moved a little, ready to be run."""
    for weight in network.parameters():
        weight.add_(0.05 * torch.randn_like(weight))
    return network.eval()


def save_published(network: Any, folder: Path, symbols: tuple[str, ...] = SYMBOLS) -> Path:
    """A directory as transformers writes it, with vocabulary and features."""
    network.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({symbol: label for label, symbol in enumerate(symbols)}))
    settings = {"do_normalize": True, "sampling_rate": 16_000, "feature_size": 1}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder
