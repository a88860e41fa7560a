"""Descriptions: the values that a checkpoint or an artefact needs to rebuild its network, as plain JSON."""

import base64
import zlib
from dataclasses import fields, is_dataclass
from typing import Any

from allinone.layers import LogMelSettings, WaveformSettings, WhisperLogMelSettings
from allinone.models import (
    ConformerLayout,
    DecoderLayout,
    EmformerTransducerLayout,
    SpectrogramLayout,
    TransformerLayout,
    WaveformLayout,
)
from allinone.quantization import (
    AbsMax,
    AbsMean,
    DynamicActivations,
    Lsq,
    Nested,
    PerChannel,
    PerGroup,
    PerTensor,
    StaticActivations,
)
from allinone.sparsity import Blocks, NOfM, Unstructured
from allinone.subnet import LayerConfig, SearchSpace, SubnetConfig
from allinone.text import BpeTokenizer, CharTokenizer, SentencePieceTokenizer, VocabularyTokenizer

_KINDS = {
    kind.__name__: kind
    for kind in (
        AbsMax,
        AbsMean,
        Blocks,
        BpeTokenizer,
        CharTokenizer,
        ConformerLayout,
        DecoderLayout,
        DynamicActivations,
        EmformerTransducerLayout,
        LayerConfig,
        LogMelSettings,
        Lsq,
        NOfM,
        Nested,
        PerChannel,
        PerGroup,
        PerTensor,
        SearchSpace,
        SentencePieceTokenizer,
        SpectrogramLayout,
        StaticActivations,
        SubnetConfig,
        TransformerLayout,
        Unstructured,
        VocabularyTokenizer,
        WaveformLayout,
        WaveformSettings,
        WhisperLogMelSettings,
    )
}


def describe(value: Any) -> Any:
    """A value of one of the known kinds, or a plain one, as JSON: a dictionary that names its kind."""
    if is_dataclass(value):
        assert type(value).__name__ in _KINDS, f"{type(value).__name__} is no known kind"
        return {"kind": type(value).__name__} | {
            field.name: describe(getattr(value, field.name)) for field in fields(value) if field.init
        }
    if isinstance(value, bytes):  # a tokenizer of 51,864 labels has 1.4 MB, a third of it compressed
        return {"zlib": base64.b64encode(zlib.compress(value, 9)).decode()}
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    return value


def restore(description: Any) -> Any:
    """The value that was described.

    Raises:
        ValueError: if the kind is unknown here, or its fields have changed.
    """
    if isinstance(description, list):
        return tuple(restore(item) for item in description)
    if not isinstance(description, dict):
        return description
    if "zlib" in description:
        return _decompressed(description["zlib"])
    if "base64" in description:  # as earlier versions wrote bytes
        return base64.b64decode(description["base64"])
    kind = description.get("kind")
    arguments = {name: restore(item) for name, item in description.items() if name != "kind"}
    try:
        return _KINDS[str(kind)](**arguments)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"A description must be of a kind known here ({', '.join(sorted(_KINDS))}) with its fields; found "
            f"{kind!r} with {', '.join(arguments) or 'no fields'}. Load it with the version that wrote it."
        ) from error


def _decompressed(text: str) -> bytes:
    try:
        return zlib.decompress(base64.b64decode(text))
    except zlib.error as error:
        raise ValueError(
            f"A description must hold bytes as zlib compresses them; found others ({error}). Copy the file again."
        ) from error
