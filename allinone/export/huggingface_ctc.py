"""A member with a CTC output in a Hugging Face directory: a network of the wav2vec 2.0 family and its labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file
from torch import Tensor

from allinone.export.extract import load_weights
from allinone.export.huggingface_parts import DECODER, ENCODER, TOKENIZER_CONFIG, WEIGHTS, Directory, part
from allinone.export.uniform import pad_to_uniform
from allinone.layers import WaveformSettings
from allinone.models import TransformerLayout
from allinone.models.huggingface import CONFIG, HEAD, HEAD_BIAS, PREPROCESSOR
from allinone.models.published_config import read_layout, write_config
from allinone.models.published_weights import publish, take_published
from allinone.subnet import SubnetConfig
from allinone.tasks import SpeechNetwork, build_network
from allinone.text import BpeTokenizer, SentencePieceTokenizer, Tokenizer, VocabularyTokenizer
from allinone.text.json_file import read_json
from allinone.text.vocabulary import BAR, VOCABULARY

if TYPE_CHECKING:
    from allinone.tasks.speech import SpeechTask

FILES = (CONFIG, WEIGHTS, VOCABULARY, TOKENIZER_CONFIG, PREPROCESSOR)


def require(task: "SpeechTask") -> None:
    """Raises ValueError if `transformers` has no such network or labels, or there is no CTC output."""
    write_config(task.layout, task.tokenizer.vocab_size)
    if not task.ctc:
        raise ValueError(
            "A directory for transformers requires a network with a CTC output; found one without. Leave "
            "format=huggingface out."
        )
    if isinstance(task.tokenizer, BpeTokenizer):
        raise ValueError(
            "A CTC output that transformers opens must have labels that are characters or pieces of text; found "
            "Whisper's pieces, which are bytes. Take another tokenizer, or leave format=huggingface out."
        )


def directory(task: "SpeechTask", subnet: SubnetConfig, weights: Mapping[str, Tensor]) -> Directory:
    """The encoder and the CTC output of a member, an attention decoder left out.

    Args:
        task: the supernet; :func:`require` does not object to it.
        subnet: the member.
        weights: of it, under the names of the plain network.
    """
    assert isinstance(task.layout, TransformerLayout)
    layout, encoder = pad_to_uniform(task.layout, subnet, part(weights, ENCODER))
    symbols, settings = _labels(task.tokenizer)
    return Directory(
        layout=layout,
        attention=None,
        vocab_size=len(symbols),
        left_out=None if task.attention is None else DECODER,
        tensors=publish(layout, encoder) | {HEAD: weights["head.weight"], HEAD_BIAS: weights["head.bias"]},
        contents={
            CONFIG: write_config(layout, len(symbols)) | _special(symbols),
            VOCABULARY: {symbol: label for label, symbol in enumerate(symbols)},
            TOKENIZER_CONFIG: settings,
            PREPROCESSOR: _features(task.features.settings),
        },
    )


def read_back(folder: Path, task: "SpeechTask") -> SpeechNetwork:
    """The plain network that a directory holds."""
    layout = read_layout(read_json(folder / CONFIG), str(folder))
    tensors = load_file(folder / WEIGHTS)
    encoder = take_published(layout, tensors, str(folder))
    member = SubnetConfig.uniform(layout.num_layers, layout.ffn_dim)
    network = build_network(layout, task.features.settings, task.tokenizer, member)
    head = {"head.weight": tensors[HEAD], "head.bias": tensors[HEAD_BIAS]}
    load_weights(network, {ENCODER + name: weight for name, weight in encoder.items()} | head)
    return network


def _labels(tokenizer: Tokenizer) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The symbols of all labels, and the settings of a tokenizer that writes them as text."""
    if isinstance(tokenizer, VocabularyTokenizer):
        symbols = tokenizer.symbols
    else:
        pieces = isinstance(tokenizer, SentencePieceTokenizer)
        written = (token.replace("▁", " ") if pieces else token for token in tokenizer.tokens[1:])
        spare = pieces or BAR in tokenizer.tokens
        symbols = ("<pad>", *(BAR if token == " " and not spare else token for token in written))
    space = " " if any(" " in symbol for symbol in symbols) else BAR
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    unknown = next((symbol for symbol in ("<unk>", "[UNK]") if symbol in symbols), symbols[0])
    return symbols, {
        "tokenizer_class": "Wav2Vec2CTCTokenizer",
        "processor_class": "Wav2Vec2Processor",
        "pad_token": symbols[0],
        "unk_token": unknown,
        "word_delimiter_token": space,
        "replace_word_delimiter_char": " ",
        "do_lower_case": False,
    } | {name: symbol if symbol in symbols else None for name, symbol in special.items()}


def _special(symbols: tuple[str, ...]) -> dict[str, int | None]:
    """Labels that a config names, in place of those that it would have if it were silent."""
    named = {"bos_token_id": "<s>", "eos_token_id": "</s>"}
    return {name: symbols.index(symbol) if symbol in symbols else None for name, symbol in named.items()}


def _features(settings: Any) -> dict[str, Any]:
    assert isinstance(settings, WaveformSettings), "encoders of this family take raw audio"
    return {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "processor_class": "Wav2Vec2Processor",
        "do_normalize": settings.normalise,
        "feature_size": settings.bands,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": True,
        "sampling_rate": settings.sample_rate,
    }
