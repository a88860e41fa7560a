"""An exported member, read from its folder: every hash, shape and token is checked, and nothing is ever unpickled."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from allinone.export.extract import load_weights
from allinone.export.manifest import AGAIN, FILE_NAME, Manifest
from allinone.export.nested import at_precision
from allinone.export.tensors import Weight, decode, payload
from allinone.export.weights_file import read_precision, read_tensors
from allinone.layers import FeatureSettings
from allinone.models import DecoderLayout, Layout
from allinone.quantization import Activations, DynamicActivations, StaticActivations, as_float
from allinone.subnet import SearchSpace, SubnetConfig
from allinone.tasks import SpeechNetwork, build_network, restore
from allinone.text import Tokenizer


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """An exported member, read and checked.

    Args:
        manifest: what it is.
        weights: what the file of weights holds, under the names of the network's state.
        network: the plain network with these weights, frozen and in evaluation mode.
        layout: the family of encoders that it belongs to.
        attention: the sizes of its attention decoder; None if it has none.
        features: how features are computed.
        tokenizer: its labels.
        space: of the supernet that it was taken out of; None if it was written before that was noted.
    """

    manifest: Manifest
    weights: dict[str, Weight]
    network: SpeechNetwork
    layout: Layout
    attention: DecoderLayout | None
    features: FeatureSettings
    tokenizer: Tokenizer
    space: SearchSpace | None

    @property
    def sample_rate(self) -> int:
        """Of the waveforms that the network takes, in Hz."""
        return self.features.sample_rate

    def frames(self, samples: int) -> int:
        """Output frames of so many samples."""
        return self.layout.frames(self.features.frames(samples))


def read_artefact(folder: Path, bits: int | None = None) -> Artefact:
    """Reads an exported member after checking the presence, size and hash of every file.

    Args:
        folder: what `allinone export` wrote.
        bits: of an export with nested=true, the precision that is read, and no more of the weights than it needs; None
            reads all of them.

    Raises:
        ValueError: if the folder is no exported member, anything in it does not fit the rest, or it does not hold that
            precision.
    """
    manifest = Manifest.read(folder)
    if bits is not None:
        manifest = at_precision(manifest, bits, folder)
    weights = _weights(manifest, folder, bits)
    tokens_file = folder / manifest.tokens
    layout, attention, ctc, activations, features, tokenizer, space = _parts(manifest, folder)
    if tokens_file.read_bytes() != tokens_text(tokenizer.tokens).encode():
        raise ValueError(
            f"{tokens_file} must list the {tokenizer.vocab_size} tokens of the network; found others. {AGAIN}"
        )
    member = SubnetConfig.parse(manifest.member)
    network = build_network(layout, features, tokenizer, member, attention, ctc, activations)
    _check_shapes(network, weights, manifest.member)
    load_weights(network, weights)
    return Artefact(
        manifest=manifest,
        weights=weights,
        network=network,
        layout=layout,
        attention=attention,
        features=features,
        tokenizer=tokenizer,
        space=space,
    )


def _weights(manifest: Manifest, folder: Path, bits: int | None) -> dict[str, Weight]:
    file = folder / manifest.weights
    if bits is None or manifest.nested is None:
        manifest.check_files(folder)
        tensors = read_tensors(file)
        _check_size(manifest, file, payload(tensors))
        return decode(tensors, manifest.tensors)
    manifest.check_files(folder, unread=(manifest.weights,))
    reading, required = read_precision(file, manifest.tensors, bits), manifest.nested[str(bits)].get("sha256")
    _check_size(manifest, file, reading.bytes_stored)
    if reading.sha256 != required:
        raise ValueError(
            f"What is read of {file} for {bits} bits must have the sha256 {required}; found {reading.sha256}: it was "
            f"changed after the export. {AGAIN}"
        )
    return reading.weights


def _check_size(manifest: Manifest, file: Path, found: int) -> None:
    if found != manifest.bytes_stored:
        raise ValueError(
            f"{file} must hold {manifest.bytes_stored} bytes of tensors, as {FILE_NAME} says; found {found}. {AGAIN}"
        )


def artefact_weights(folder: Path) -> dict[str, Tensor]:
    """The weights of an exported member in float32, under the names of the plain network: what training can start from.

    Raises:
        ValueError: as :func:`read_artefact`.
    """
    return {name: as_float(weight) for name, weight in read_artefact(folder).weights.items()}


def tokens_text(tokens: tuple[str, ...]) -> str:
    """The tokens as icefall and sherpa list them: a line each, the token, a blank, its label.

    Raises:
        ValueError: if a token would break its line.
    """
    for token in tokens:
        if len(f"{token} ".splitlines()) != 1:
            raise ValueError(
                f"A token must be written on a line of its own; found {token!r}. "
                "Normalise line breaks out of the transcripts and train the tokenizer again."
            )
    return "".join(f"{token} {label}\n" for label, token in enumerate(tokens))


def _parts(
    manifest: Manifest, folder: Path
) -> tuple[Any, DecoderLayout | None, bool, Activations | None, FeatureSettings, Tokenizer, SearchSpace | None]:
    """Layout, attention decoder, whether there is a CTC output, rounding of inputs, features, tokenizer and space."""
    network = {"ctc": True} | manifest.network  # earlier ones do not name it: all had one
    try:
        layout, attention, ctc, activations, features, tokenizer, space = (
            restore(network.get(part)) for part in _PARTS
        )
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{folder / FILE_NAME} must describe {', '.join(_PARTS)} of the network; found a description that does not "
            f"serve ({error}). {AGAIN}"
        ) from error
    fits = (
        hasattr(layout, "build"),
        isinstance(attention, DecoderLayout | None),
        ctc is True or (ctc is False and attention is not None),
        isinstance(activations, DynamicActivations | StaticActivations | None),
        isinstance(features, FeatureSettings),
        isinstance(tokenizer, Tokenizer),
        isinstance(space, SearchSpace | None),
    )
    if not all(fits):
        wrong = ", ".join(part for part, right in zip(_PARTS, fits, strict=True) if not right)
        raise ValueError(
            f"{folder / FILE_NAME} must describe {', '.join(_PARTS)} of the network; found another kind of value as "
            f"{wrong}. {AGAIN}"
        )
    return layout, attention, ctc, activations, features, tokenizer, space


_PARTS = ("layout", "attention", "ctc", "activations", "features", "tokenizer", "space")


def _check_shapes(network: nn.Module, weights: Mapping[str, Weight], member: str) -> None:
    required = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(as_float(weight).shape) for name, weight in weights.items()}
    for name in sorted(required.keys() | found.keys()):
        if required.get(name) != found.get(name):
            raise ValueError(
                f"The network of {member} needs {name} of shape {required.get(name, 'none')}; found "
                f"{found.get(name, 'none')}. {AGAIN}"
            )
