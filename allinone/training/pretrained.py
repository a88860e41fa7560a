"""Training that starts from a pretrained encoder: a Hugging Face directory, or a state dict of torchaudio."""

import copy
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from allinone.data.batch import Batch
from allinone.layers import FeatureSettings, WaveformSettings, WhisperLogMelSettings
from allinone.models import Layout, TransformerLayout, WaveformLayout
from allinone.models.huggingface import CONFIG, Pretrained, is_huggingface, pretrained_labels, read_pretrained
from allinone.models.lazy_tensors import LazyTensors
from allinone.models.published_weights import take_published
from allinone.models.torchaudio_names import from_torchaudio, is_torchaudio
from allinone.models.weight_files import read_state_dict
from allinone.subnet import SubnetConfig
from allinone.tasks.speech import SpeechTask
from allinone.text import Tokenizer
from allinone.training.importance import sort_units_and_heads
from allinone.training.start import take_over_weights

logger = logging.getLogger(__name__)

_MANIFEST = "manifest.json"  # of our own directories
_ENCODER = "encoder."
_LAYER = re.compile(r"encoder\.layers\.\d+\.")
_STATE_DICTS = (".pt", ".pth")


def is_pretrained(source: Path) -> bool:
    """Whether a path is that of a pretrained encoder, and not of a checkpoint or an exported member of ours.

    Raises:
        ValueError: if it is that of a directory which is neither.
    """
    if not source.is_dir():
        return source.suffix in _STATE_DICTS
    if is_huggingface(source) or (source / _MANIFEST).is_file():
        return not (source / _MANIFEST).is_file()
    found = ", ".join(sorted(path.name for path in source.iterdir())[:5]) or "an empty directory"
    raise ValueError(
        f"Training starts from a directory with a {CONFIG}, as Hugging Face's have, or with a {_MANIFEST}, as "
        f"`allinone export` writes it; found {found} in {source}. Name such a directory, or a checkpoint."
    )


def labels_of(source: Path) -> Tokenizer | None:
    """The labels of a pretrained network's CTC output; None if it has none, or does not tell its labels."""
    return pretrained_labels(source) if source.is_dir() else None


def take_over_pretrained(task: SpeechTask, source: Path, batches: Iterable[Batch] | None = None) -> None:
    """Starts a supernet from a pretrained encoder; from its CTC output, too, if the labels are the supernet's.

    Where the supernet has members that are narrower than the encoder, or have fewer heads, units and heads are sorted
    by importance first: ``batches`` decide on the order, or else the weights.

    Raises:
        ValueError: if the source cannot be read, or is not what the supernet's layout, features and space ask for.
    """
    layout = task.layout
    if not isinstance(layout, TransformerLayout):
        raise ValueError(
            f"Starting from {source} requires a network of its kind; found {type(layout).__name__}. "
            "Give network=pretrained, or a named network that suits it."
        )
    weights = _from_directory(task, layout, source) if source.is_dir() else _from_state_dict(layout, source)
    take_over_weights(task, _sorted(task, layout, weights, batches), str(source))


def refuse_other_features(layout: Layout, features: FeatureSettings) -> None:
    """Raises ValueError if a pretrained encoder takes other features than those."""
    if not isinstance(layout, TransformerLayout):
        return
    raw = isinstance(layout.front_end, WaveformLayout)
    if isinstance(features, WaveformSettings if raw else WhisperLogMelSettings) and features.bands == layout.bands:
        return
    needed = "raw audio" if raw else f"Whisper's log-mel energies of {layout.bands} bands"
    advice = "features=waveform" if raw else f"features=whisper_log_mel features.bands={layout.bands}"
    raise ValueError(
        f"An encoder of the family {layout.family} requires {needed} as features; found {features}. Give {advice}."
    )


def _from_directory(task: SpeechTask, layout: TransformerLayout, source: Path) -> Mapping[str, Tensor]:
    pretrained = read_pretrained(source)
    if _as_published(layout, pretrained) != pretrained.layout:
        raise ValueError(
            f"Starting from {source} requires its network, {pretrained.layout}; found {layout}. "
            "Give network=pretrained, or the named network that it is."
        )
    if task.features.settings != pretrained.features:
        raise ValueError(
            f"Starting from {source} requires the features that it was trained with, {pretrained.features}; found "
            f"{task.features.settings}. Give features=pretrained."
        )
    if pretrained.tokenizer is None or pretrained.tokenizer == task.tokenizer:
        return pretrained.weights
    logger.warning("%s has other labels than the network: its CTC output is left out.", source)
    kept = (name for name in pretrained.weights if not name.startswith("head."))
    return LazyTensors.renamed(pretrained.weights, {name: name for name in kept})


def _as_published(layout: TransformerLayout, pretrained: Pretrained) -> TransformerLayout:
    """A layout with what is a choice of the training as a directory has it."""
    front, theirs = layout.front_end, pretrained.layout.front_end
    if isinstance(front, WaveformLayout) and isinstance(theirs, WaveformLayout):
        front = replace(front, frozen=theirs.frozen)
    free = pretrained.layout
    return replace(layout, front_end=front, dropout=free.dropout, front_end_bits=free.front_end_bits)


def _from_state_dict(layout: TransformerLayout, source: Path) -> Mapping[str, Tensor]:
    state = read_state_dict(source)
    if not is_torchaudio(state):
        raise ValueError(
            f"A state dict to start from must have the names of torchaudio's wav2vec 2.0, HuBERT or WavLM; found "
            f"{', '.join(sorted(state)[:3]) or 'none'} in {source}. Give a Hugging Face directory, or a checkpoint "
            "(.ckpt) of ours."
        )
    taken = take_published(layout, from_torchaudio(state), str(source))
    return LazyTensors.renamed(taken, {f"{_ENCODER}{name}": name for name in taken})


def _sorted(
    task: SpeechTask, layout: TransformerLayout, weights: Mapping[str, Tensor], batches: Iterable[Batch] | None
) -> Mapping[str, Tensor]:
    """The weights with units and heads in the order of their importance, where that matters.

    By weights alone one layer is sorted at a time, when it is asked for; to hear batches takes the whole encoder.
    """
    narrower = task.space.widths != (layout.ffn_dim,)
    fewer = task.space.heads not in ((), (layout.num_heads,))
    if not (narrower or fewer):
        return weights
    with torch.device("meta"):
        encoder = layout.build(SubnetConfig.uniform(layout.num_layers, layout.ffn_dim))

    def sorted_part(prefix: str) -> dict[str, Tensor]:
        part = copy.deepcopy(encoder.get_submodule(prefix.removeprefix(_ENCODER).removesuffix(".")))
        part.load_state_dict({name: weights[prefix + name] for name in part.state_dict()}, assign=True)
        sort_units_and_heads(
            part,
            units=narrower,
            heads=fewer,
            hear=lambda waveforms, lengths: part(*task.features(waveforms, lengths)),
            batches=batches,
        )
        return {prefix + name: weight for name, weight in part.state_dict().items()}

    if batches is not None:
        return {**weights, **sorted_part(_ENCODER)}
    held: dict[str, dict[str, Tensor]] = {}  # they are asked for layer by layer

    def of_layer(prefix: str, name: str) -> Tensor:
        if prefix not in held:
            held.clear()
            held[prefix] = sorted_part(prefix)
        return held[prefix][name]

    of_layers = {name: partial(of_layer, layer[0], name) for name in weights if (layer := _LAYER.match(name))}
    return LazyTensors.renamed(weights, {name: name for name in weights}) | LazyTensors(of_layers)
