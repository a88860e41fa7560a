"""Whisper's decoder in Hugging Face's checkpoints: config and weights, from theirs to ours and back."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from allinone.models.decoder_layout import DecoderLayout
from allinone.models.lazy_tensors import LazyTensors
from allinone.models.published_config import Values, read_layout
from allinone.models.published_weights import MOST_FRAMES, refuse_misfit, refuse_others
from allinone.models.transformer import TransformerLayout
from allinone.subnet import FULL_PRECISION, TensorSpec
from allinone.text import BpeTokenizer

_FIXED = {"scale_embedding": False, "tie_word_embeddings": True}  # what is meant by a config that is silent, too
_SILENT: dict[str, Any] = {
    "decoder_layers": 4,
    "decoder_attention_heads": 6,
    "decoder_ffn_dim": 1536,
    "max_target_positions": 448,
    "dropout": 0.0,
}
_NAMES = (  # ours, theirs
    (r"embedding\.labels", r"embed_tokens"),
    (r"embedding\.places", r"embed_positions"),
    (r"layers\.(\d+)\.attention\.query", r"layers.\1.self_attn.q_proj"),
    (r"layers\.(\d+)\.attention\.key", r"layers.\1.self_attn.k_proj"),
    (r"layers\.(\d+)\.attention\.value", r"layers.\1.self_attn.v_proj"),
    (r"layers\.(\d+)\.attention\.output", r"layers.\1.self_attn.out_proj"),
    (r"layers\.(\d+)\.attention_norm", r"layers.\1.self_attn_layer_norm"),
    (r"layers\.(\d+)\.cross_attention\.query", r"layers.\1.encoder_attn.q_proj"),
    (r"layers\.(\d+)\.cross_attention\.key", r"layers.\1.encoder_attn.k_proj"),
    (r"layers\.(\d+)\.cross_attention\.value", r"layers.\1.encoder_attn.v_proj"),
    (r"layers\.(\d+)\.cross_attention\.output", r"layers.\1.encoder_attn.out_proj"),
    (r"layers\.(\d+)\.cross_attention_norm", r"layers.\1.encoder_attn_layer_norm"),
    (r"layers\.(\d+)\.feed_forward\.up", r"layers.\1.fc1"),
    (r"layers\.(\d+)\.feed_forward\.down", r"layers.\1.fc2"),
    (r"layers\.(\d+)\.feed_forward_norm", r"layers.\1.final_layer_norm"),
    (r"output\.norm", r"layer_norm"),
)
_PREFIX, _LABELS = "model.decoder.", "embedding.labels.weight"


def has_decoder(published: Mapping[str, Tensor]) -> bool:
    """Whether published weights of a Whisper have its decoder, too."""
    return any(key.startswith((_PREFIX, _PREFIX.removeprefix("model."))) for key in published)


def read_decoder_layout(
    config: Mapping[str, Any], prompt: tuple[int, ...], origin: str, dropout: float | None = None
) -> DecoderLayout:
    """The layout of the decoder that a Whisper's config describes.

    Args:
        config: the content of a `config.json` of that family.
        prompt: labels that stand before every text, by the order of our labels.
        origin: where the config stands, for messages.
        dropout: probability in training; None takes that of the config.

    Raises:
        ValueError: if the config asks for something that our modules do not have.
    """
    for key, ours in _FIXED.items():
        if config.get(key, ours) != ours:
            raise ValueError(
                f"A decoder must have {key}={ours!r}, which is what is built here; found {config[key]!r} in {origin}. "
                "Start from another network, or from its encoder alone (attention=none)."
            )
    values = Values(config, _SILENT)
    return DecoderLayout(
        values.size("decoder_layers"),
        values.size("decoder_ffn_dim"),
        values.size("decoder_attention_heads"),
        values.probability("dropout") if dropout is None else dropout,
        activation="gelu",
        key_bias=False,
        tied=True,
        places=values.size("max_target_positions"),
        prompt=prompt,
    )


def write_whisper_config(
    layout: TransformerLayout, attention: DecoderLayout, tokenizer: BpeTokenizer
) -> dict[str, Any]:
    """The config of a whole Whisper as `transformers` reads it: encoder, decoder, and the labels that begin and end.

    Args:
        layout: of the encoder, of the family ``whisper``.
        attention: of the decoder.
        tokenizer: its labels.

    Raises:
        ValueError: if `transformers` has no such network.
    """
    end = tokenizer.order[0]
    config: dict[str, Any] = {
        "architectures": ["WhisperForConditionalGeneration"],
        "model_type": "whisper",
        "dtype": "float32",
        "d_model": layout.dim,
        "num_mel_bins": layout.bands,
        "encoder_layers": layout.num_layers,
        "encoder_attention_heads": layout.num_heads,
        "encoder_ffn_dim": layout.ffn_dim,
        "decoder_layers": attention.num_layers,
        "decoder_attention_heads": attention.num_heads,
        "decoder_ffn_dim": attention.ffn_dim,
        "max_source_positions": MOST_FRAMES,
        "max_target_positions": attention.places,
        "activation_function": "gelu",
        "dropout": layout.dropout,
        "vocab_size": tokenizer.vocab_size,
        "decoder_start_token_id": tokenizer.order[tokenizer.prompt[0]],
        "suppress_tokens": None,
        "begin_suppress_tokens": None,  # silence would mean some
    }
    config |= _FIXED | dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), end)
    origin, whole = "this config", (layout, attention)
    encoder, decoder = (
        replace(part, head_dim=None if part.head_dim == layout.dim / part.num_heads else part.head_dim)
        for part in whole
    )
    if read_layout(config, origin) != replace(encoder, front_end_bits=FULL_PRECISION):
        raise _other("an encoder", layout)
    places = attention.places is not None
    if not places or read_decoder_layout(config, tokenizer.prompt, origin, attention.dropout) != decoder:
        raise _other(f"a decoder with the prompt {tokenizer.prompt} of its tokenizer", attention)
    return config


def take_published_decoder(
    layout: DecoderLayout, dim: int, order: Sequence[int], published: Mapping[str, Tensor], origin: str
) -> LazyTensors:
    """The weights of a published decoder, in float32.

    Args:
        layout: of the decoder.
        dim: of the encoder.
        order: which published label each of ours is.
        published: under their names, with or without ``model.`` before them.
        origin: where they come from, for messages.

    Returns:
        Under the names of the :class:`allinone.models.TransformerDecoder` that the layout builds, each made when it is
        asked for.

    Raises:
        ValueError: if a tensor is missing or does not fit, or if the decoder has more than the layout knows.
    """
    prefix = _PREFIX if any(key.startswith(_PREFIX) for key in published) else _PREFIX.removeprefix("model.")
    left = {key for key in published if key.startswith(prefix)}
    weights: dict[str, Callable[[], Tensor]] = {}
    rows = torch.tensor(order)
    for spec in layout.tensors(layout.whole, dim, len(order)):
        name = spec.name.removeprefix("decoder.")
        key = prefix + _published_name(name)
        if key not in published:
            raise ValueError(
                f"A Whisper's decoder requires the tensor {key}; found none in {origin}. Check that weights and config "
                "belong together."
            )
        if name == _LABELS:
            _refuse_other_labels(spec, key, published[key], origin)
        refuse_misfit(spec, key, published[key], origin)
        weights[name] = partial(_take, published, key, rows if name == _LABELS else None)
        left.discard(key)
    refuse_others(left, f"A Whisper's decoder of {layout.num_layers} layers", origin)
    return LazyTensors(weights)


def publish_decoder(layout: DecoderLayout, order: Sequence[int], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a decoder with all its heads, as they are published: the inverse of the above."""
    published = {_PREFIX + _published_name(name): weight.contiguous() for name, weight in weights.items()}
    labels = _PREFIX + _published_name(_LABELS)
    back = sorted(range(len(order)), key=order.__getitem__)
    published[labels] = published[labels][back].contiguous()
    return published


def _other(what: str, layout: TransformerLayout | DecoderLayout) -> ValueError:
    return ValueError(
        f"A Hugging Face directory of a Whisper requires {what}, as Whisper has it; found {layout}. Leave "
        "format=huggingface out: allinone's own format holds every network."
    )


def _take(published: Mapping[str, Tensor], key: str, rows: Tensor | None) -> Tensor:
    weight = published[key] if rows is None else published[key][rows]
    return weight.to(torch.float32)


def _published_name(name: str) -> str:
    for ours, theirs in _NAMES:
        match = re.fullmatch(rf"{ours}(\.weight|\.bias)", name)
        if match:
            return match.expand(theirs) + match.groups()[-1]
    raise AssertionError(f"{name} has no published name")


def _refuse_other_labels(spec: TensorSpec, key: str, weight: Tensor, origin: str) -> None:
    if weight.dim() == 2 and len(weight) != spec.shape[0]:
        raise ValueError(
            f"A tokenizer of {spec.shape[0]} labels requires {key} to have as many rows; found {len(weight)} in "
            f"{origin}: the tokenizer does not belong to the weights. Copy both from the same place."
        )
