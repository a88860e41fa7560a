"""Writes a member as a Hugging Face directory, which `transformers` opens as a network with a CTC output."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save
from torch import Tensor

from allinone.export.extract import as_float, evaluation_copy, load_weights
from allinone.export.folder import complete_folder
from allinone.export.huggingface_card import huggingface_card
from allinone.export.uniform import pad_to_uniform
from allinone.export.verify import verify_ctc
from allinone.export.writer import check_results, nothing, versions
from allinone.layers import WaveformSettings
from allinone.models import TransformerLayout
from allinone.models.huggingface import CONFIG, HEAD, HEAD_BIAS, PREPROCESSOR
from allinone.models.published_config import read_layout, write_config
from allinone.models.published_weights import publish, take_published
from allinone.quantization import Quantised
from allinone.subnet import SubnetConfig
from allinone.tasks import SpeechNetwork, build_network
from allinone.text import BpeTokenizer, SentencePieceTokenizer, Tokenizer, VocabularyTokenizer
from allinone.text.json_file import read_json
from allinone.text.vocabulary import BAR, VOCABULARY

if TYPE_CHECKING:
    from allinone.tasks.speech import SpeechTask

logger = logging.getLogger(__name__)

WEIGHTS, TOKENIZER, CARD = "model.safetensors", "tokenizer_config.json", "README.md"
FILES = (CONFIG, WEIGHTS, VOCABULARY, TOKENIZER, PREPROCESSOR, CARD)
_MARK = "allinone"  # a key in the config of what was written here
_ENCODER, _OUTPUT = "encoder.", "head."
_TOLERANCE = 1e-4  # zeros among the others change the order in which products are added up


def write_huggingface(
    task: "SpeechTask",
    subnet: SubnetConfig,
    folder: Path,
    *,
    results: Mapping[str, Mapping[str, float]] | None = None,
    data_hash: str | None = None,
    about_data: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes the encoder and the CTC output of a member in float32, reads them back, and compares the outputs.

    Layers of unequal widths, or without all heads, are filled up with zeros. An attention decoder is left out.

    Args:
        task: the supernet; it may be on any device, and stays as it is.
        subnet: the member.
        folder: where to; it must be missing or empty, or hold an earlier export of this kind and nothing else.
        results: measured error rates in percent by split.
        data_hash: hash of the training data.
        about_data: a sentence or two for the card: what the training data is, and its licence.
        overwrite: whether an earlier export in ``folder`` may be replaced.

    Returns:
        The folder.

    Raises:
        ValueError: if there is no such member, `transformers` has no such network or labels, there is no CTC output,
            the folder holds something else, or results or weights are not finite; the folder is then as it was before.
        RuntimeError: if what was written is not the supernet's member; the folder is then as it was before.
    """
    folder = Path(folder)
    check_results(results or {})
    whole = task.layout
    write_config(whole, task.tokenizer.vocab_size)  # refused before anything is written
    if not task.ctc:
        raise ValueError(
            "A directory for transformers requires a network with a CTC output; found one without. Leave "
            "format=huggingface out."
        )
    assert isinstance(whole, TransformerLayout)
    with complete_folder(folder, replaceable=_is_exported if overwrite else nothing) as partial:
        task = evaluation_copy(task, subnet)
        stored = task.weights(subnet)
        weights = {name: _finite(name, as_float(weight)) for name, weight in stored.items()}
        layout, encoder = pad_to_uniform(whole, subnet, _part(weights, _ENCODER))
        tensors = publish(layout, encoder) | {HEAD: weights["head.weight"], HEAD_BIAS: weights["head.bias"]}
        (partial / WEIGHTS).write_bytes(save(tensors, metadata={"format": "pt"}))
        symbols, settings = _labels(task.tokenizer)
        features = _features(task.features.settings)
        contents = {
            CONFIG: write_config(layout, len(symbols)) | _special(symbols) | {_MARK: {"member": subnet.name}},
            VOCABULARY: {symbol: label for label, symbol in enumerate(symbols)},
            TOKENIZER: settings,
            PREPROCESSOR: features,
        }
        for name, content in contents.items():
            text = json.dumps(content, indent=1, ensure_ascii=False)
            (partial / name).write_text(f"{text}\n", encoding="utf-8")
        card = huggingface_card(
            layout,
            subnet,
            size=(partial / WEIGHTS).stat().st_size,
            labels=len(symbols),
            rounded=any(isinstance(weight, Quantised) for weight in stored.values()),
            hybrid=task.attention is not None,
            results=results,
            data=(about_data, data_hash),
            version=versions().get("allinone", "of unknown version"),
        )
        (partial / CARD).write_text(card, encoding="utf-8")
        verify_ctc(_read_back(partial, task), task, subnet, _TOLERANCE)
    if task.attention is not None:
        logger.warning(
            "The attention decoder of %s is left out: such a directory has the CTC output alone.", subnet.name
        )
    return folder


def _read_back(folder: Path, task: "SpeechTask") -> SpeechNetwork:
    """The plain network that a directory holds."""
    layout = read_layout(read_json(folder / CONFIG), str(folder))
    tensors = load_file(folder / WEIGHTS)
    encoder = take_published(layout, tensors, str(folder))
    member = SubnetConfig.uniform(layout.num_layers, layout.ffn_dim)
    network = build_network(layout, task.features.settings, task.tokenizer, member)
    head = {"head.weight": tensors[HEAD], "head.bias": tensors[HEAD_BIAS]}
    load_weights(network, {_ENCODER + name: weight for name, weight in encoder.items()} | head)
    return network


def _part(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}


def _finite(name: str, weight: Tensor) -> Tensor:
    if not weight.isfinite().all():
        raise ValueError(
            f"The weights of a member must be finite; found NaN or infinity in {name}. "
            "This training has diverged: export from an earlier checkpoint."
        )
    return weight


def _labels(tokenizer: Tokenizer) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The symbols of all labels, and the settings of a tokenizer that writes them as text. Raises ValueError."""
    if isinstance(tokenizer, BpeTokenizer):
        raise ValueError(
            "A CTC output that transformers opens must have labels that are characters or pieces of text; found "
            "Whisper's pieces, which are bytes. Take another tokenizer, or leave format=huggingface out."
        )
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
    assert isinstance(settings, WaveformSettings), "encoders that transformers has take raw audio"
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


def _is_exported(folder: Path) -> bool:
    """Whether everything in a folder was written here, so that it can be replaced."""
    try:
        ours = _MARK in read_json(folder / CONFIG)
    except ValueError:
        return False
    return ours and {path.name for path in folder.iterdir()} <= set(FILES)
