"""The memory of a training step on each device, computed before anything is allocated."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from math import prod

import torch

from allinone.report.kept import Arithmetic, front_end_bytes, kept_by_layer
from allinone.report.machine import gigabytes
from allinone.report.training_step import TrainingStep
from allinone.subnet import FULL_PRECISION, SubnetConfig, TensorSpec
from allinone.training import FitSettings
from allinone.training.sharding import shares

_FULL = 4  # bytes of a number in 32 bits
_SAMPLE_RATE = 16_000
_LETTERS = 12  # that people speak in a second
_STEPS = 100  # whose members are looked at


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes that a training step needs on one device.

    Weights, gradients and moments are those of the supernet and of its learned scales, in 32 bits. The rest is of the
    member and the moment that need most: with what it keeps for its backward pass, as :mod:`allinone.report.kept`
    counts it. Not counted are another network that teaches, and what the library itself takes.

    Args:
        weights: all of them, frozen ones included.
        gradients: of the trained weights; 0 if the step needs most before there are any.
        moments: two of the optimiser for each trained weight; of this device's share, if they are shared out.
        average: a second set of weights, if they are averaged.
        levels: a byte for each weight that can be dropped, where members are sparse.
        buckets: of the communication, where they are not the gradients themselves.
        effective: rounded and pruned weights, or copies in 16 bits, that a member keeps: of all its layers, or of one
            where layers are computed again.
        activations: what a member's layers keep, or their inputs and one of them where layers are computed again; what
            the front end and the outputs keep.
        passing: what the largest single operations need besides.
    """

    weights: float
    gradients: float
    moments: float
    average: float
    levels: float
    buckets: float
    effective: float
    activations: float
    passing: float

    @property
    def total(self) -> float:
        """All together."""
        return sum(getattr(self, part.name) for part in fields(self))

    def __str__(self) -> str:
        parts = [(part.name, getattr(self, part.name)) for part in fields(self)]
        said = ", ".join(f"{name} {gigabytes(count)}" for name, count in parts if count >= 0.5e8)
        return gigabytes(self.total) + (f" ({said})" if said else "")


def plan_memory(step: TrainingStep, settings: FitSettings, utterances: int, seconds: float) -> MemoryPlan:
    """What each device needs for a batch of a training.

    Args:
        step: what is trained, and how.
        settings: how the run is carried out: processes, averaging, accumulation.
        utterances: of a batch on one device.
        seconds: of each utterance.
    """
    weights, trained = _sizes(step)
    several = settings.processes > 1
    owners = shares(trained, settings.processes if step.optimizer.sharded else 1)
    loads = [0] * (max(owners, default=0) + 1)
    for size, owner in zip(trained, owners, strict=True):
        loads[owner] += size
    gradients = _FULL * sum(trained)
    always = several or settings.accumulate > 1  # whether gradients are there before the step begins
    moments = list(_moments(step, gradients, always, utterances, seconds))
    return MemoryPlan(
        weights=_FULL * weights,
        moments=2 * _FULL * max(loads),
        average=0 if settings.ema_decay is None else _FULL * weights,
        levels=_levels(step),
        buckets=gradients if several and settings.strategy != "auto" else 0,
        **max(moments, key=lambda parts: sum(parts.values())),
    )


def _sizes(step: TrainingStep) -> tuple[int, list[int]]:
    """The number of weights and scales, and the sizes of the trained ones."""
    with torch.device("meta"):
        encoder = step.layout.build(step.sampler.space.largest)
    everything = [(weight.numel(), weight.requires_grad) for weight in encoder.parameters()]
    vocab_size, dim = step.tokenizer.vocab_size, step.layout.dim
    if step.ctc:
        everything += [(vocab_size * dim, True), (vocab_size, True)]
    matrices = [(name, weight.shape) for name, weight in encoder.named_parameters() if weight.dim() > 1]
    if step.attention is not None:
        specs = list(step.attention.tensors(step.attention.whole, dim, vocab_size))
        everything += [(prod(spec.shape), True) for spec in specs]
    if step.quantizer.log_scale_shape((1, 1)) is not None:
        front_end_bits = step.layout.front_end_bits
        for name, shape in matrices:
            in_front = name.startswith("front_end.") and front_end_bits is not None
            bits = (front_end_bits,) if in_front else step.sampler.space.bits
            rows = sum(width != FULL_PRECISION for width in bits) if name.startswith(("front_end.", "layers.")) else 0
            if rows:
                rows = 1 if step.quantizer.nested else rows
                everything.append((rows * prod(step.quantizer.granularity.scale_shape(tuple(shape))), True))
    return sum(size for size, _ in everything), [size for size, trains in everything if trains and size]


def _levels(step: TrainingStep) -> int:
    """The number of weights that members of the space drop."""
    space = step.sampler.space
    specs = list(step.layout.tensors(space.largest)) if space.sparsities else []
    if step.attention is not None and space.decoder is not None and space.decoder.sparsities:
        specs += step.attention.tensors(step.attention.whole, step.layout.dim, step.tokenizer.vocab_size)
    return sum(prod(spec.shape) for spec in specs if spec.prunable)


def _moments(
    step: TrainingStep, gradients: float, always: bool, utterances: int, seconds: float
) -> Iterator[dict[str, float]]:
    """What is needed, besides what is there all the time, while each member trains, and when all have."""
    arithmetic = Arithmetic(step.precision != "32-true", torch.device(step.device).type == "cuda")
    samples = int(seconds * _SAMPLE_RATE)
    frames = step.features.frames(samples)
    front = front_end_bytes(step.layout, samples, frames, utterances, arithmetic)
    features = utterances * (samples * _FULL * 2 + frames * step.layout.bands * _FULL)
    yield {
        "gradients": gradients if always else 0,
        "effective": 0,
        "activations": front.kept + features,
        "passing": front.passing,
    }
    for members in dict.fromkeys(step.sampler.members(number, 0) for number in range(_STEPS)):
        heard = max(1, utterances // len(members)) if step.sampler.in_batch else utterances
        for place, member in enumerate(members):
            effective, kept, passing = _member(step, member, heard, frames, arithmetic)
            outputs = _outputs(step, heard, seconds, step.layout.frames(frames), arithmetic)
            yield {
                "gradients": gradients if always or place else 0,
                "effective": effective,
                "activations": front.kept + features + kept + outputs,
                "passing": passing,
            }
    yield {"gradients": gradients, "effective": 0, "activations": front.kept + features, "passing": 0}


def _member(
    step: TrainingStep, member: SubnetConfig, utterances: int, frames: int, arithmetic: Arithmetic
) -> tuple[float, float, float]:
    """Bytes of a member's effective weights and activations, and of its largest operations."""
    time = step.layout.frames(frames)
    cells = utterances * time
    kept = [cells * kept_by_layer(step.layout, layer, time, arithmetic, utterances) for layer in member.layers]
    effective, largest = [0.0] * member.depth, 0
    for spec in step.layout.tensors(member):
        if not spec.name.startswith("layers.") or len(spec.shape) < 2:
            continue
        index, size = int(spec.name.split(".")[1]), prod(spec.shape)
        rounded = member.layers[index].bits != FULL_PRECISION
        pruned = spec.threshold > 0
        effective[index] += size * (
            2 if arithmetic.mixed else _FULL * (rounded or pruned)
        )  # 16 bits keep no rounded one
        effective[index] += size * _FULL * (rounded and pruned)  # which rounding remembers
        kept[index] += cells * _rounded(step, spec, arithmetic) * rounded
        largest = max(largest, size * (5 * _FULL * rounded + _FULL + (_FULL + 1) * pruned))
    inputs = cells * step.layout.dim * arithmetic.product
    passing = largest + cells * (2 * max(layer.width for layer in member.layers) + 4 * step.layout.dim) * _FULL
    if step.recompute:
        return max(effective), max(kept) + member.depth * inputs, passing
    return sum(effective), sum(kept), passing


def _rounded(step: TrainingStep, spec: TensorSpec, arithmetic: Arithmetic) -> float:
    """Bytes that rounding what a linear map is given keeps, a frame, beyond what the map keeps of it anyway.

    A learned scale keeps what was not rounded, too; of what three maps share, each rounds a copy of its own.
    """
    if step.activations is None or len(spec.shape) != 2:
        return 0
    shares = spec.name.endswith(("query.weight", "key.weight")) and not arithmetic.mixed
    return spec.shape[1] * _FULL if prod(step.activations.scale_shape) or shares else 0


def _outputs(step: TrainingStep, utterances: int, seconds: float, time: int, arithmetic: Arithmetic) -> float:
    """Bytes of what is made of the frames: log probabilities of a member and of its teacher, losses, a decoder."""
    vocab_size, dim, labels = step.tokenizer.vocab_size, step.layout.dim, int(seconds * _LETTERS)
    frame = arithmetic.normed(dim) + dim * _FULL
    if step.ctc:
        frame += 6 * vocab_size * _FULL + 2 * (2 * labels + 1) * _FULL
    if step.attention is None:
        return utterances * time * frame
    decoder = step.attention
    mask = arithmetic.mask(decoder.dropout)
    layer = 2 * arithmetic.normed(dim, maps=3) + arithmetic.normed(dim) + 8 * dim * arithmetic.product
    layer += 2 * decoder.ffn_dim * arithmetic.product + (3 * dim + decoder.ffn_dim) * mask
    label = decoder.num_layers * layer + 6 * vocab_size * _FULL
    heard = decoder.num_layers * 2 * dim * arithmetic.product
    return utterances * (time * (frame + heard) + (labels + 1) * label)
