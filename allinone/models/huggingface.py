"""A pretrained network out of a Hugging Face directory: its layouts, weights, features and labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from allinone.layers import WaveformSettings, WhisperLogMelSettings
from allinone.models.decoder_layout import DecoderLayout
from allinone.models.lazy_tensors import LazyTensors
from allinone.models.published_config import read_layout
from allinone.models.published_decoder import has_decoder, read_decoder_layout, take_published_decoder
from allinone.models.published_weights import take_published
from allinone.models.transformer import TransformerLayout
from allinone.models.weight_files import read_weights
from allinone.text import BpeTokenizer, VocabularyTokenizer
from allinone.text.bpe import TOKENIZER
from allinone.text.json_file import read_json
from allinone.text.vocabulary import VOCABULARY, blank_first, is_special, read_vocabulary

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
HEAD, HEAD_BIAS = "lm_head.weight", "lm_head.bias"


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """What a directory holds.

    Args:
        layout: of the encoder.
        features: that it takes.
        attention: of the attention decoder; None if it has none, or does not tell its labels.
        tokenizer: the labels of the CTC output or of the decoder; None if it has neither, or does not tell its labels.
        weights: in float32 under the names of a plain network: ``encoder....``, and ``head....`` or ``decoder....`` if
            there are labels. Each is read when it is asked for.
    """

    layout: TransformerLayout
    features: WaveformSettings | WhisperLogMelSettings
    attention: DecoderLayout | None
    tokenizer: VocabularyTokenizer | BpeTokenizer | None
    weights: Mapping[str, Tensor]


def is_huggingface(path: Path) -> bool:
    """Whether a path is a directory with a config, as Hugging Face's are."""
    return (path / CONFIG).is_file()


def read_pretrained(folder: Path) -> Pretrained:
    """Reads a directory; nothing is downloaded, and no code is run.

    Raises:
        ValueError: if there is no config, if it describes something that is not known here, or if weights, features or
            labels do not fit it.
    """
    layout, published = pretrained_layout(folder), read_weights(folder)
    encoder = take_published(layout, published, str(folder))
    weights = LazyTensors.renamed(encoder, {f"encoder.{name}": name for name in encoder})
    attention = None
    if layout.family == "whisper" and has_decoder(published) and (folder / TOKENIZER).is_file():
        tokenizer = BpeTokenizer.read(folder)
        attention = pretrained_decoder(folder)
        decoder = take_published_decoder(attention, layout.dim, tokenizer.order, published, str(folder))
        weights |= LazyTensors.renamed(decoder, {f"decoder.{name}": name for name in decoder})
    else:
        tokenizer, head = _head(folder, layout.dim, published)
        weights |= head
    return Pretrained(
        layout=layout,
        features=pretrained_features(folder),
        attention=attention,
        tokenizer=tokenizer,
        weights=weights,
    )


def pretrained_layout(
    folder: str | Path | None, dropout: float | None = None, frozen: bool = True
) -> TransformerLayout:
    """The layout of a directory's encoder.

    Args:
        folder: the directory.
        dropout: probability in training; None takes that of the directory.
        frozen: whether the convolutions over samples stay as they are.

    Raises:
        ValueError: as :func:`read_pretrained`, of the config.
    """
    path = _given(folder, "network") / CONFIG
    return read_layout(read_json(path), str(path), dropout, frozen)


def pretrained_decoder(
    folder: str | Path | None, dropout: float | None = None, language: str | None = None
) -> DecoderLayout:
    """The layout of a directory's attention decoder, a Whisper's.

    Args:
        folder: the directory.
        dropout: probability in training; None takes that of the directory.
        language: of the speech, where the network has several; see :meth:`allinone.text.BpeTokenizer.read`.

    Raises:
        ValueError: as :func:`read_pretrained`, of config and tokenizer; if the directory is of another family.
    """
    path = _given(folder, "attention")
    config = read_json(path / CONFIG)
    if config.get("model_type") != "whisper":
        raise ValueError(
            f"attention=pretrained requires a Whisper, which has a decoder; found the family "
            f"{config.get('model_type')!r} in {path}. Give attention=none, or attention=decoder_small for a new one."
        )
    prompt = BpeTokenizer.read(path, language=language).prompt
    return read_decoder_layout(config, prompt, str(path / CONFIG), dropout)


def pretrained_features(folder: str | Path | None) -> WaveformSettings | WhisperLogMelSettings:
    """The features that a directory's encoder takes.

    Raises:
        ValueError: if they are none that are computed here.
    """
    path = _given(folder, "features")
    layout = pretrained_layout(path)
    settings = read_json(path / PREPROCESSOR) if (path / PREPROCESSOR).is_file() else {}
    normalise = settings.get("do_normalize", True)
    required: dict[str, Any] = {"sampling_rate": 16_000, "feature_size": layout.bands}
    if layout.family == "whisper":
        required |= {"n_fft": 400, "hop_length": 160}
        features = WhisperLogMelSettings(layout.bands)
    else:
        features = WaveformSettings(normalise is True)
    for key, ours in required.items():
        if settings.get(key, ours) != ours:
            raise ValueError(
                f"An encoder of the family {layout.family} must take features of {key}={ours}; found {settings[key]!r} "
                f"in {path / PREPROCESSOR}. Start from another encoder."
            )
    return features


def pretrained_labels(folder: Path) -> VocabularyTokenizer | None:
    """The labels of a directory's CTC output; None if it has none, or does not tell its labels.

    Raises:
        ValueError: if vocabulary and output do not fit each other.
    """
    return _head(folder, pretrained_layout(folder).dim, read_weights(folder))[0]


def _head(
    folder: Path, dim: int, published: Mapping[str, Tensor]
) -> tuple[VocabularyTokenizer | None, dict[str, Tensor]]:
    """The labels of the CTC output and its weights, the blank first."""
    if HEAD not in published or not (folder / VOCABULARY).is_file():
        return None, {}
    symbols, blank = read_vocabulary(folder)
    rows = len(published[HEAD])
    if all(is_special(symbol) for symbol in symbols[rows:]):  # an output of their own is never asked for
        symbols = symbols[:rows]
    bias = published.get(HEAD_BIAS, published[HEAD].new_zeros(rows))
    if published[HEAD].shape != (len(symbols), dim) or bias.shape != (len(symbols),):
        raise ValueError(
            f"The vocabulary of {len(symbols)} labels requires {HEAD} of shape {(len(symbols), dim)} and {HEAD_BIAS} "
            f"of shape {(len(symbols),)}; found {tuple(published[HEAD].shape)} and {tuple(bias.shape)} in {folder}. "
            f"Correct {VOCABULARY}; or move it away to start from the encoder alone, with another tokenizer."
        )
    order = blank_first(rows, blank)
    tokenizer = VocabularyTokenizer(tuple(symbols[label] for label in order))
    return tokenizer, {"head.weight": published[HEAD][order].float(), "head.bias": bias[order].float()}


def _given(folder: str | Path | None, group: str) -> Path:
    if folder is None:
        raise ValueError(
            f"{group}=pretrained requires a Hugging Face directory; found none named. Give {group}.folder=DIR, or "
            "init=DIR to start from its weights, too."
        )
    return Path(folder)
