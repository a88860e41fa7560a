"""Weights of published encoders under our names and in our shapes, and back."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from math import prod

import torch
from torch import Tensor

from allinone.layers.positions import sinusoids
from allinone.models.lazy_tensors import LazyTensors
from allinone.models.published import published_name
from allinone.models.transformer import TransformerLayout
from allinone.subnet import SubnetConfig, TensorSpec

_MASKED = "front_end.masked"
_SINUSOIDS = "embed_positions.weight"
MOST_FRAMES = 1500  # of Whisper's encoder, 20 ms each: theirs has a sinusoid for each, and takes no other number
_PREFIXES = {
    "wav2vec2": "wav2vec2.",
    "hubert": "hubert.",
    "wavlm": "wavlm.",
    "data2vec-audio": "data2vec_audio.",
    "whisper": "model.encoder.",
}
_MODULES = ("masked_spec_embed", "feature_extractor.", "feature_projection.", "encoder.")
_WHISPER_MODULES = ("conv1.", "conv2.", "embed_positions.", "layers.", "layer_norm.")
_OTHER_SPELLING = (  # of weight normalisation
    (".parametrizations.weight.original0", ".weight_g"),
    (".parametrizations.weight.original1", ".weight_v"),
)
_TOLERANCE = 1e-3  # of sinusoids that were rounded to half precision


def take_published(layout: TransformerLayout, published: Mapping[str, Tensor], origin: str) -> LazyTensors:
    """The weights of a published encoder, in float32.

    What is not of the encoder, such as a quantiser that its training needed, or a decoder, is left out. The vector that
    stands for masked frames, which some lack, is zero then.

    Args:
        layout: of the encoder.
        published: under their names, with or without the family's prefix.
        origin: where they come from, for messages.

    Returns:
        Under the names of the :class:`allinone.models.Encoder` that the layout builds, each made when it is asked for;
        those in float32 still are where they were.

    Raises:
        ValueError: if a tensor is missing or does not fit, or if the encoder has more than the layout knows.
    """
    prefix = _prefix(layout, published)
    left = {key for key in published if key.startswith(_modules(layout, prefix))}
    weights: dict[str, Callable[[], Tensor]] = {}
    for spec in layout.tensors(_whole(layout)):
        name = published_name(layout, spec.name)
        if name is None:  # heads stand where they stood
            weights[spec.name] = partial(torch.arange, prod(spec.shape), dtype=torch.float32)
            continue
        key = _key(prefix + name, published)
        if key in published:
            refuse_misfit(spec, key, published[key], origin)
            weights[spec.name] = partial(_take, spec, key, published)
            left.discard(key)
        elif spec.name == _MASKED:
            weights[spec.name] = partial(torch.zeros, spec.shape)
        else:
            raise ValueError(
                f"An encoder of the family {layout.family} requires the tensor {key}; found none in {origin}. Check "
                "that weights and config belong together."
            )
    if layout.family == "whisper":
        _refuse_other_positions(layout, published.get(prefix + _SINUSOIDS), origin)
        left.discard(prefix + _SINUSOIDS)
    refuse_others(left, f"An encoder of {layout.num_layers} layers of the family {layout.family}", origin)
    return LazyTensors(weights)


def publish(layout: TransformerLayout, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of an encoder with all its heads in order, as they are published.

    Args:
        layout: of the encoder.
        weights: under the names of the :class:`allinone.models.Encoder` that the layout builds.

    Returns:
        Under their names, the family's prefix included; with Whisper's sinusoids, which are computed here.
    """
    specs, prefix = {spec.name: spec for spec in layout.tensors(_whole(layout))}, _PREFIXES[layout.family]
    tensors = {
        prefix + published: weight.reshape(_published_shape(specs[name])).contiguous()
        for name, weight in weights.items()
        if (published := published_name(layout, name)) is not None
    }
    if layout.family == "whisper":
        tensors[prefix + _SINUSOIDS] = sinusoids(MOST_FRAMES, layout.dim, torch.empty(0))
    return tensors


def _whole(layout: TransformerLayout) -> SubnetConfig:
    return SubnetConfig.uniform(layout.num_layers, layout.ffn_dim)


def _modules(layout: TransformerLayout, prefix: str) -> tuple[str, ...]:
    """How names of an encoder's tensors begin."""
    return tuple(prefix + module for module in (_WHISPER_MODULES if layout.family == "whisper" else _MODULES))


def _prefix(layout: TransformerLayout, published: Mapping[str, Tensor]) -> str:
    """What stands before the names of the encoder's tensors; nothing if they are not found."""
    named = _PREFIXES[layout.family]
    prefixes = (named, named.removeprefix("model.")) if layout.family == "whisper" else (named,)
    return next(
        (prefix for prefix in prefixes if any(key.startswith(_modules(layout, prefix)) for key in published)), ""
    )


def _key(key: str, published: Mapping[str, Tensor]) -> str:
    """The spelling of a name that is there."""
    for new, old in _OTHER_SPELLING:
        if key not in published and key.endswith(new):
            return key.removesuffix(new) + old
    return key


def refuse_others(left: Collection[str], what: str, origin: str) -> None:
    """Raises ValueError if published weights have tensors that are no part of a network."""
    if left:
        raise ValueError(
            f"{what} must have no more than their tensors; found {', '.join(sorted(left)[:3])} in {origin}. Check that "
            "weights and config belong together."
        )


def refuse_misfit(spec: TensorSpec, key: str, weight: Tensor, origin: str) -> None:
    """Raises ValueError if a published tensor has another shape than ours, or whole numbers."""
    required = _published_shape(spec)
    if tuple(weight.shape) != required or not weight.is_floating_point():
        raise ValueError(
            f"The config requires {key} of shape {required}, in floating point; found shape {tuple(weight.shape)} of "
            f"{weight.dtype} in {origin}. Check that weights and config belong together."
        )


def _take(spec: TensorSpec, key: str, published: Mapping[str, Tensor]) -> Tensor:
    return published[key].reshape(spec.shape).to(torch.float32)


def _published_shape(spec: TensorSpec) -> tuple[int, ...]:
    if spec.name.endswith("positions.magnitude"):
        return (1, 1, *spec.shape)
    return (1, *spec.shape, 1, 1) if spec.name.endswith("gate.constant") else spec.shape


def _refuse_other_positions(layout: TransformerLayout, table: Tensor | None, origin: str) -> None:
    """Whisper's positions are computed here, and not learnt."""
    if table is None:
        return
    fits = table.dim() == 2 and table.shape[1] == layout.dim
    ours = sinusoids(len(table), layout.dim, table.float())
    far = (table - ours).abs().max().item() if fits else float("inf")
    if far > _TOLERANCE:
        found = f"others, up to {far:.2g} away," if fits else f"shape {tuple(table.shape)}"
        raise ValueError(
            f"Whisper's {_SINUSOIDS} must be sinusoids of {layout.dim} channels; found {found} in {origin}. "
            "Start from an encoder whose positions were not trained."
        )
