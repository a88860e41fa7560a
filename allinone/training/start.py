"""Where training starts from: the supernet of a checkpoint, or a new one that takes over trained weights."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from allinone.data.batch import Batch
from allinone.layers import SpecAugment, TimeMasks
from allinone.models.activation_scores import KeptLayers
from allinone.quantization import Quantised, as_float
from allinone.subnet import SearchSpace
from allinone.tasks import SpeechNetwork
from allinone.tasks.description import restore
from allinone.tasks.recalibration import recalibrate
from allinone.tasks.speech import SpeechTask
from allinone.training.checkpoints import STATISTICS, read_checkpoint
from allinone.training.importance import Sorted, sort_units_and_heads

logger = logging.getLogger(__name__)

NO_MEANS: Mapping[str, Tensor] = MappingProxyType({})
_OUTPUTS = {"head.": "the CTC output", "decoder.": "the attention decoder"}  # of which a network may lack one


def load_task(path: Path, augment: SpecAugment | TimeMasks | None = None) -> tuple[SpeechTask, dict[str, Any]]:
    """The supernet of a checkpoint (averaged weights, if the run averaged), and what the checkpoint tells about it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is torn or not ours.
    """
    checkpoint = read_checkpoint(path)
    about = checkpoint["allinone"]
    parts = {part: restore(about[part]) for part in ("layout", "space", "tokenizer", "quantizer", "features")}
    parts |= {part: restore(about.get(part)) for part in ("attention", "activations")}  # earlier ones name neither
    task = SpeechTask(**parts, ctc=about.get("ctc", True), augment=augment, first_scales=False)
    state = {
        name.removeprefix("task."): weight.float() if weight.is_floating_point() else weight
        for name, weight in checkpoint["state_dict"].items()
        if name.startswith("task.")
    }
    task.load_state_dict(state)
    task.encoder.statistics = checkpoint.get(STATISTICS, {})
    return task, about


def take_over_checkpoint(task: SpeechTask, path: Path, batches: Iterable[Batch] | None = None) -> None:
    """Starts a supernet from the weights of a checkpoint.

    The same supernet takes over everything, scales included, and may round its inputs otherwise: scales that it has for
    these, and the checkpoint lacks, are yet to be calibrated. Another one (other depths, widths, heads or bits) takes
    the weights of the checkpoint's largest member. If its members had only one width, its feed-forward units are sorted
    by importance first; if they had one number of heads, its attention heads are. So is an attention decoder that has
    smaller members here. ``batches`` decide on the order, or else the weights; they also decide on the layers that
    its shallow members keep, if they had one depth.

    Raises:
        ValueError: if the checkpoint's network is smaller, or has other sizes or labels.
    """
    source, _ = load_task(path)
    shared = (source.ctc and task.ctc) or (source.decoder is not None and task.decoder is not None)
    if shared and source.tokenizer != task.tokenizer:
        raise ValueError(
            f"Starting from {path} requires the labels it was trained with; found another tokenizer. "
            "Leave the tokenizer to the checkpoint."
        )
    if _sizes(source) == _sizes(task):
        learnt = source.state_dict()
        task.load_state_dict({name: learnt.get(name, fresh) for name, fresh in task.state_dict().items()})
        return
    refuse_other_heads(task, source, str(path))
    largest = source.space.largest
    if batches is not None and source.encoder.lacks_statistics(largest):
        recalibrate(source, batches, [largest])

    def hear(batch: Batch) -> None:
        heard = source.shared(batch.waveforms, batch.lengths)
        if task.decoder is None:
            source.encode(heard, largest)
        else:
            source.learn(heard, largest, batch.labels, batch.label_lengths)

    _, measured, layers = _sort(task, source, source.space, hear, batches)
    means = {
        f"{part}.{name}": mean
        for part, elastic in source.parts()
        for name, _ in elastic.module.named_parameters()
        if (mean := elastic.mean(name)) is not None
    }
    means |= {name.replace(".module.", ".", 1): mean for name, mean in measured.items()}
    if layers is None and source.decoder is not None:
        layers = KeptLayers(source.decoder.get_buffer("ranks"), source.decoder.get_buffer("means"))
    ranges = {f"{part}.{name}": scale for part, elastic in source.parts() for name, scale in elastic.inputs.stored()}
    take_over_weights(task, _plain_parameters(source) | ranges, str(path), means, layers)


def take_over_member(
    task: SpeechTask,
    network: SpeechNetwork,
    weights: Mapping[str, Tensor | Quantised],
    space: SearchSpace | None,
    origin: str,
    batches: Iterable[Batch] | None = None,
) -> None:
    """Starts a supernet from an exported member; units and heads are sorted as those of a checkpoint are.

    Args:
        task: the supernet.
        network: the member; its order may be changed.
        weights: its weights as they are stored.
        space: of the supernet that it was taken out of; None if that is not known, and then nothing is sorted.
        origin: where it comes from, for messages.
        batches: what decides on the order; None leaves it to the weights.

    Raises:
        ValueError: as :func:`take_over_weights`, and if its heads have another size.
    """
    refuse_other_heads(task, network, origin)
    ordered = dict(weights)
    means: Mapping[str, Tensor] = {}
    layers = None
    if space is not None:
        orders, means, layers = _sort(task, network, space, partial(_hear, network, task.decoder is not None), batches)
        for name, sorts in orders.items():
            for dim, entries in sorts:
                weight = ordered[name]
                ordered[name] = (
                    weight.select(dim, entries) if isinstance(weight, Quantised) else weight.index_select(dim, entries)
                )
    take_over_weights(task, ordered, origin, means, layers)


def _hear(network: SpeechNetwork, spell: bool, batch: Batch) -> None:
    heard = network(batch.waveforms, batch.lengths)
    if network.decoder is not None and spell:
        network.decoder(heard.encoded, heard.lengths, batch.labels)


def _sort(
    task: SpeechTask,
    source: SpeechTask | SpeechNetwork,
    space: SearchSpace,
    hear: Callable[[Batch], object],
    batches: Iterable[Batch] | None,
) -> Sorted:
    """Sorts what the space that a network comes from has in one size only, and the supernet may have in several."""
    units, heads, layers = [], [], False
    for name, part, trained, wanted in (
        ("encoder", source.encoder, space, task.space),
        ("decoder", source.decoder, space.decoder, task.space.decoder),
    ):
        if part is not None and wanted is not None:
            units += [name] * (trained is None or len(trained.widths) == 1)
            heads += [name] * (trained is None or len(trained.heads) <= 1)
            layers = name == "decoder" and len(wanted.depths) > 1 and (trained is None or len(trained.depths) == 1)
    return sort_units_and_heads(source, units=units, heads=heads, layers=layers, hear=hear, batches=batches)


def refuse_other_heads(task: SpeechTask, source: nn.Module, origin: str) -> None:
    """Raises ValueError if attention heads have another size than in the network that training starts from.

    The weights of four heads may have the shapes of those of two larger ones.

    Args:
        task: the supernet.
        source: a supernet or a plain network.
        origin: where it comes from, for messages.
    """
    needed, found = _head_dims(task), _head_dims(source)
    for name in sorted(needed.keys() & found.keys()):
        if needed[name] != found[name]:
            raise ValueError(
                f"Starting from {origin} requires attention heads of its size; found {name} with heads of dimension "
                f"{found[name]} there and {needed[name]} here. Choose a network with such heads (num_heads, head_dim)."
            )


def take_over_weights(
    task: SpeechTask,
    weights: Mapping[str, Tensor | Quantised],
    origin: str,
    means: Mapping[str, Tensor] = NO_MEANS,
    layers: KeptLayers | None = None,
) -> None:
    """Starts a supernet from the weights of a plain network at least as large.

    A CTC output and an attention decoder that the plain network lacks keep their fresh weights; those that the supernet
    lacks are left out. Scales are set from the weights, except where the weights bring integers and scales of the same
    precision.

    Args:
        task: the supernet.
        weights: under the plain network's names; each is asked for once, in the order of the supernet's parameters.
        origin: where they come from, for messages.
        means: of what units and heads say, by the names of the weights that they feed: what narrow members make up for.
        layers: which of the attention decoder's its shallow members keep; None leaves that at the first ones.

    Raises:
        ValueError: if a tensor is missing, smaller than needed, or of other dimensions.
    """
    parameters = _plain_parameters(task)
    integers: dict[str, Quantised] = {}
    needed, given = _outputs(parameters), _outputs(weights)
    fresh = tuple(part for part in needed if part not in given)
    with torch.no_grad():
        for name, parameter in parameters.items():
            if name.startswith(fresh):
                continue
            stored = weights.get(name)
            if isinstance(stored, Quantised):
                integers[name] = stored
            weight = None if stored is None else as_float(stored)
            if weight is None or not _covers(weight, parameter):
                found = "none" if weight is None else f"shape {tuple(weight.shape)}"
                raise ValueError(
                    f"Starting from {origin} requires {name} of at least the shape {tuple(parameter.shape)}; found "
                    f"{found}. Choose a network and a search space that are no larger than what you start from."
                )
            parameter.copy_(weight[tuple(slice(size) for size in parameter.shape)])
    task.initialise_scales()
    for part, elastic in task.parts():
        for name in elastic.module.state_dict():
            if (stored := integers.get(f"{part}.{name}")) is not None:
                elastic.take_over_scale(name, stored)
            if (mean := means.get(f"{part}.{name}")) is not None:
                elastic.take_over_mean(name, mean)
        for name, _ in elastic.inputs.stored():
            if isinstance(scale := weights.get(f"{part}.{name}"), Tensor):
                elastic.inputs.take_over(name, scale)
    if layers is not None and task.decoder is not None and len(layers.ranks) == len(task.decoder.layers):
        task.decoder.keep(layers.ranks, layers.means)
        logger.info("A decoder of fewer layers keeps them in this order: %s.", _in_words(layers.ranks))
    changes = [f"; {_OUTPUTS[part]} begins anew" for part in fresh]
    changes += [f"; {_OUTPUTS[part]} is left out" for part in given if part not in needed]
    logger.info("Took over the weights of %s%s.", origin, "".join(changes))


def _in_words(ranks: Tensor) -> str:
    """The numbers of layers, from 0 up, the one that all members keep first."""
    return ", ".join(map(str, ranks.argsort().tolist()))


def _outputs(names: Collection[str]) -> list[str]:
    """Prefixes of the outputs whose weights are among these names."""
    return [part for part in _OUTPUTS if any(name.startswith(part) for name in names)]


def _sizes(task: SpeechTask) -> tuple[object, ...]:
    return task.space, task.layout, task.attention, task.ctc, task.quantizer


def _head_dims(network: nn.Module) -> dict[str, int]:
    """The dimension of the heads of each attention module, by its name in the plain network."""
    dims = ((name, getattr(module, "head_dim", None)) for name, module in network.named_modules())
    return {name.replace(".module.", ".", 1): dim for name, dim in dims if isinstance(dim, int)}


def _covers(weight: Tensor, parameter: Tensor) -> bool:
    return weight.dim() == parameter.dim() and all(
        have >= need for have, need in zip(weight.shape, parameter.shape, strict=True)
    )


def _plain_parameters(task: SpeechTask) -> dict[str, Tensor]:
    """The supernet's weights under the names of the plain network."""
    return {
        name.replace(".module.", ".", 1): parameter
        for name, parameter in task.named_parameters()
        if "log_scales" not in name
    }
