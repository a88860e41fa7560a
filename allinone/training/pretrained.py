"""Training that starts from a pretrained network: a Hugging Face directory, or a state dict of torchaudio."""

import copy
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from allinone.data.batch import Batch
from allinone.layers import FeatureSettings, WaveformSettings, WhisperLogMelSettings
from allinone.models import DecoderLayout, Layout, TransformerLayout, WaveformLayout
from allinone.models.activation_scores import KeptLayers
from allinone.models.huggingface import CONFIG, Pretrained, is_huggingface, pretrained_labels, read_pretrained
from allinone.models.lazy_tensors import LazyTensors
from allinone.models.published_weights import take_published
from allinone.models.torchaudio_names import from_torchaudio, is_torchaudio
from allinone.models.weight_files import read_state_dict
from allinone.subnet import SearchSpace, SubnetConfig
from allinone.tasks.speech import SpeechTask
from allinone.text import Tokenizer
from allinone.training.importance import Sorted, sort_units_and_heads
from allinone.training.start import NO_MEANS, take_over_weights

logger = logging.getLogger(__name__)

_MANIFEST = "manifest.json"  # of our own directories
_ENCODER, _DECODER = "encoder.", "decoder."
_LAYER = re.compile(r"(encoder\.|decoder\.)layers\.\d+\.")
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
    ordered, means, layers = _sorted(task, layout, weights, batches)
    take_over_weights(task, ordered, str(source), means, layers)


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
    if pretrained.attention is not None:
        return _with_decoder(task, pretrained, source)
    if pretrained.tokenizer is None or pretrained.tokenizer == task.tokenizer:
        return pretrained.weights
    logger.warning("%s has other labels than the network: its CTC output is left out.", source)
    return _without(pretrained.weights, "head.")


def _with_decoder(task: SpeechTask, pretrained: Pretrained, source: Path) -> Mapping[str, Tensor]:
    """The weights of a Whisper; those of its decoder only if the network has it, too."""
    ours, theirs = task.attention, pretrained.attention
    assert theirs is not None
    if ours is None or replace(ours, dropout=theirs.dropout, prompt=theirs.prompt) != theirs:
        logger.info("The attention decoder of %s is left out: the network has another one, or none.", source)
        return _without(pretrained.weights, _DECODER)
    if task.tokenizer.tokens != (pretrained.tokenizer and pretrained.tokenizer.tokens):
        raise ValueError(
            f"The attention decoder of {source} requires its own labels; found others ({task.tokenizer.vocab_size} of "
            f"them). Give tokenizer=pretrained, or attention=none for its encoder alone."
        )
    return pretrained.weights


def _without(weights: Mapping[str, Tensor], prefix: str) -> LazyTensors:
    return LazyTensors.renamed(weights, {name: name for name in weights if not name.startswith(prefix)})


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
) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor], KeptLayers | None]:
    """The weights with units and heads in the order of their importance, where that matters.

    With what these say on average, and the layers of the decoder that are worth most, where that matters.

    By weights alone one layer is sorted at a time, when it is asked for; to hear batches takes the whole network.
    """
    with torch.device("meta"):
        encoder = layout.build(SubnetConfig.uniform(layout.num_layers, layout.ffn_dim))
        decoder = task.attention and task.attention.build(task.attention.whole, layout.dim, task.tokenizer.vocab_size)
    networks = {_ENCODER: encoder, _DECODER: decoder}
    wanted = {_ENCODER: _sorting(task.space, layout), _DECODER: _sorting(task.space.decoder, task.attention)}
    shallower = task.space.decoder is not None and len(task.space.decoder.depths) > 1

    def sorted_parts(
        prefixes: Sequence[str], batches: Iterable[Batch] | None = None
    ) -> tuple[dict[str, Tensor], Sorted]:
        parts = nn.ModuleDict()
        for prefix in prefixes:
            network, _, inside = prefix.partition(".")
            whole = networks[f"{network}."]
            assert whole is not None
            part = copy.deepcopy(whole.get_submodule(inside.removesuffix(".")))
            part.load_state_dict({name: weights[prefix + name] for name in part.state_dict()}, assign=True)
            parts[network] = part

        def hear(batch: Batch) -> None:
            encoded, lengths = parts["encoder"](*task.features(batch.waveforms, batch.lengths))
            if "decoder" in parts:
                parts["decoder"](encoded, lengths, batch.labels)

        units, heads = ([name for name in parts if wanted[f"{name}."][index]] for index in range(2))
        found = sort_units_and_heads(parts, units=units, heads=heads, layers=shallower, hear=hear, batches=batches)
        return {
            prefix + name: weight
            for prefix, part in zip(prefixes, parts.values(), strict=True)
            for name, weight in part.state_dict().items()
        }, found

    spelt = (shallower or any(wanted[_DECODER])) and any(name.startswith(_DECODER) for name in weights)
    hears = batches is not None and (spelt or any(wanted[_ENCODER]))
    heard: dict[str, Tensor] = {}
    means, layers = NO_MEANS, None
    if hears:
        heard, (_, means, layers) = sorted_parts([_ENCODER, _DECODER] if spelt else [_ENCODER], batches)
    held: dict[str, dict[str, Tensor]] = {}  # they are asked for layer by layer

    def of_layer(prefix: str, name: str) -> Tensor:
        if prefix not in held:
            held.clear()
            held[prefix], _ = sorted_parts([prefix])
        return held[prefix][name]

    of_layers = {
        name: partial(of_layer, layer[0], name)
        for name in weights
        if name not in heard and (layer := _LAYER.match(name)) and any(wanted[layer[1]])
    }
    return (
        LazyTensors.renamed(weights, {name: name for name in weights}) | LazyTensors(of_layers) | heard,
        means,
        layers,
    )


def _sorting(space: SearchSpace | None, sizes: TransformerLayout | DecoderLayout | None) -> tuple[bool, bool]:
    """Whether units are sorted, and whether heads are: where a space has members with fewer."""
    if space is None or sizes is None:
        return False, False
    return space.widths != (sizes.ffn_dim,), space.heads not in ((), (sizes.num_heads,))
