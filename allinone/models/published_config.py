"""The `config.json` of a Hugging Face directory: from it the layout of an encoder, and from a layout such a config."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from allinone.models.front_ends import SpectrogramLayout, WaveformLayout
from allinone.models.inventory import Layout
from allinone.models.transformer import FAMILIES, TransformerLayout
from allinone.subnet import FULL_PRECISION

_STACKED, _DISTANCES, _PROJECTING = "data2vec-audio", "wavlm", "hubert"

_FIXED: dict[str, Any] = {  # what our modules have, and what is meant by a config that is silent
    "hidden_act": "gelu",
    "feat_extract_activation": "gelu",
    "activation_function": "gelu",
    "layer_norm_eps": 1e-5,
    "add_adapter": False,
    "adapter_attn_dim": None,
    "conv_pos_batch_norm": False,
}
_BASE: dict[str, Any] = {  # what is meant by a config that is silent
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_dropout": 0.1,
    "feat_extract_norm": "group",
    "feat_proj_layer_norm": True,
    "conv_dim": (512,) * 7,
    "conv_kernel": (10, 3, 3, 3, 3, 2, 2),
    "conv_stride": (5, 2, 2, 2, 2, 2, 2),
    "conv_bias": False,
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
    "do_stable_layer_norm": False,
    "num_buckets": 320,
    "max_bucket_distance": 800,
}
_DATA2VEC = _BASE | {"conv_pos_kernel_size": 19, "num_conv_pos_embeddings": 5}
_WHISPER: dict[str, Any] = {
    "d_model": 384,
    "encoder_layers": 4,
    "encoder_attention_heads": 6,
    "encoder_ffn_dim": 1536,
    "num_mel_bins": 80,
    "dropout": 0.0,
}
_NAMES = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM", "data2vec-audio": "Data2VecAudio"}


def read_layout(
    config: Mapping[str, Any], origin: str, dropout: float | None = None, frozen: bool = True
) -> TransformerLayout:
    """The layout of an encoder that a config describes.

    Args:
        config: the content of a `config.json`.
        origin: where it stands, for messages.
        dropout: probability in training; None takes that of the config.
        frozen: whether the convolutions over samples stay as they are.

    Raises:
        ValueError: if the family is unknown, or the config asks for something that our modules do not have.
    """
    family = config.get("model_type")
    if family not in FAMILIES:
        raise ValueError(
            f"An encoder is of one of the families {', '.join(FAMILIES)} (model_type); found {family!r} in {origin}. "
            "Start from one of these."
        )
    for key, ours in _FIXED.items():
        if config.get(key, ours) != ours:
            raise ValueError(
                f"An encoder must have {key}={ours!r}, which is what is built here; found {config[key]!r} in {origin}. "
                "Start from another encoder."
            )
    values = Values(config, {"whisper": _WHISPER, _STACKED: _DATA2VEC}.get(family, _BASE))
    try:
        return _whisper(values, dropout) if family == "whisper" else _wav2vec2(values, family, dropout, frozen)
    except ValueError as error:
        raise ValueError(
            f"A config must describe an encoder that can be built; found one in {origin} that cannot: {error} "
            "Correct it, or start from another encoder."
        ) from error


def write_config(layout: Layout, labels: int) -> dict[str, Any]:
    """The config of a network with a CTC output over such an encoder, as `transformers` reads it; label 0 is the blank.

    Raises:
        ValueError: if `transformers` has no such network.
    """
    family, front = getattr(layout, "family", type(layout).__name__), getattr(layout, "front_end", None)
    if not isinstance(layout, TransformerLayout) or not isinstance(front, WaveformLayout) or family not in _NAMES:
        raise ValueError(
            f"A Hugging Face directory of a network with a CTC output is of one of the families {', '.join(_NAMES)}; "
            f"found {family}. Leave format=huggingface out: allinone's own format holds every network."
        )
    stacked = layout.family == _STACKED
    config: dict[str, Any] = {
        "architectures": [f"{_NAMES[layout.family]}ForCTC"],
        "model_type": layout.family,
        "dtype": "float32",
        "hidden_size": layout.dim,
        "num_hidden_layers": layout.num_layers,
        "num_attention_heads": layout.num_heads,
        "intermediate_size": layout.ffn_dim,
        "hidden_act": "gelu",
        "hidden_dropout": layout.dropout,
        "layer_norm_eps": 1e-5,
        "conv_dim": list(front.channels),
        "conv_kernel": list(front.kernels),
        "conv_stride": list(front.strides),
        "conv_bias": front.bias,
        "num_conv_pos_embeddings": front.position_layers if stacked else front.position_kernel,
        "num_conv_pos_embedding_groups": front.position_groups,
        "vocab_size": labels,
        "pad_token_id": 0,
    }
    if stacked:
        config |= {"conv_pos_kernel_size": front.position_kernel}
    else:
        config |= {"feat_extract_norm": front.norm, "do_stable_layer_norm": layout.norm_first}
    if layout.family == _PROJECTING:
        config |= {"feat_proj_layer_norm": front.feature_norm}
    if layout.buckets is not None:
        config |= {"num_buckets": layout.buckets, "max_bucket_distance": layout.longest_distance}
    if read_layout(config, "this config", frozen=front.frozen) != replace(
        layout,
        head_dim=None if layout.num_heads * layout.head_size == layout.dim else layout.head_dim,
        front_end_bits=FULL_PRECISION,
    ):
        raise ValueError(
            f"A Hugging Face directory requires an encoder as {_NAMES[layout.family]} has it; found {layout}. Leave "
            "format=huggingface out: allinone's own format holds every network."
        )
    return config


def _wav2vec2(values: "Values", family: str, dropout: float | None, frozen: bool) -> TransformerLayout:
    stacked, distances = family == _STACKED, family == _DISTANCES
    front_end = WaveformLayout(
        channels=values.sizes("conv_dim"),
        kernels=values.sizes("conv_kernel"),
        strides=values.sizes("conv_stride"),
        bias=values.flag("conv_bias"),
        norm="layer" if stacked else values["feat_extract_norm"],
        feature_norm=values.flag("feat_proj_layer_norm") if family == _PROJECTING else True,
        position_kernel=values.size("conv_pos_kernel_size" if stacked else "num_conv_pos_embeddings"),
        position_groups=values.size("num_conv_pos_embedding_groups"),
        position_layers=values.size("num_conv_pos_embeddings") if stacked else None,
        frozen=frozen,
    )
    return TransformerLayout(
        values.size("num_hidden_layers"),
        values.size("hidden_size"),
        values.size("intermediate_size"),
        values.size("num_attention_heads"),
        front_end,
        family,
        norm_first=False if stacked else values.flag("do_stable_layer_norm"),
        buckets=values.size("num_buckets") if distances else None,
        longest_distance=values.size("max_bucket_distance") if distances else 800,
        dropout=values.probability("hidden_dropout") if dropout is None else dropout,
    )


def _whisper(values: "Values", dropout: float | None) -> TransformerLayout:
    return TransformerLayout(
        values.size("encoder_layers"),
        values.size("d_model"),
        values.size("encoder_ffn_dim"),
        values.size("encoder_attention_heads"),
        SpectrogramLayout(values.size("num_mel_bins")),
        "whisper",
        norm_first=True,
        key_bias=False,
        dropout=values.probability("dropout") if dropout is None else dropout,
    )


@dataclass(frozen=True)
class Values:
    """The values of a config, each looked at before it is used."""

    config: Mapping[str, Any]
    silent: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        return self.config.get(key, self.silent[key])

    def size(self, key: str) -> int:
        return self._checked(key, "a whole number from 1 on", _is_size)

    def sizes(self, key: str) -> tuple[int, ...]:
        return tuple(
            self._checked(key, "a list of whole numbers from 1 on", lambda x: _is_list(x) and all(map(_is_size, x)))
        )

    def flag(self, key: str) -> bool:
        return self._checked(key, "true or false", lambda x: isinstance(x, bool))

    def probability(self, key: str) -> float:
        return self._checked(
            key, "a probability", lambda x: isinstance(x, int | float) and not isinstance(x, bool) and 0 <= x < 1
        )

    def _checked(self, key: str, kind: str, fits: Callable[[Any], bool]) -> Any:
        if not fits(self[key]):
            raise ValueError(f"{key} must be {kind}; found {self[key]!r}.")
        return self[key]


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)
