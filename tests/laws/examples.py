"""What the tests of the laws share: tiny supernets of every kind, and batches of noise."""

from typing import Any

import torch

from allinone.data.batch import Batch, collate
from allinone.layers import LogMelSettings, SpecAugment
from allinone.models import AdaptiveDropout, ConformerLayout, DecoderLayout
from allinone.quantization import Activations, Lsq, PerChannel, Quantised, Quantizer
from allinone.sparsity import Pattern, StraightThrough
from allinone.subnet import SearchSpace, SubnetConfig
from allinone.tasks.input_ranges import calibrate_inputs
from allinone.tasks.output import Output
from allinone.tasks.recalibration import recalibrate
from allinone.tasks.speech import SpeechTask
from allinone.text import CharTokenizer
from allinone.training import Objective

ALL_BITS = (2, 3, 4, 6, 8, 32)
DECODER = DecoderLayout(num_layers=2, ffn_dim=24, num_heads=2, dropout=0.0)
PLAIN = Objective()


def make_layout(**changes: Any) -> ConformerLayout:
    """A Conformer of three narrow layers, without dropout."""
    sizes: dict[str, Any] = {
        "num_layers": 3,
        "dim": 16,
        "ffn_dim": 24,
        "num_heads": 2,
        "kernel_size": 5,
        "subsampling_channels": 4,
        "separable_subsampling": True,
        "positions": "rotary",
        "front_end_bits": 32,
        "dropout": 0.0,
    }
    return ConformerLayout(**(sizes | changes))


def make_task(
    bits: tuple[int, ...] = ALL_BITS,
    quantizer: Quantizer | None = None,
    layerwise: bool = False,
    augment: SpecAugment | None = None,
    attention: DecoderLayout | None = None,
    ctc: bool = True,
    adaptive_dropout: AdaptiveDropout | None = None,
    heads: tuple[int, ...] = (),
    seed: int = 0,
    first_scales: bool = True,
    tokenizer: CharTokenizer | None = None,
    sparsities: tuple[float, ...] = (),
    pattern: Pattern | None = None,
    scale_groups: tuple[int | None, ...] = (),
    straight_through: StraightThrough | None = None,
    activations: Activations | None = None,
    decoder: SearchSpace | None = None,
    **changes: Any,
) -> SpeechTask:
    """A supernet of two depths and two widths with the weights of a fresh one."""
    torch.manual_seed(seed)
    layout = make_layout(**changes)
    task = SpeechTask(
        layout=layout,
        space=SearchSpace(
            (2, layout.num_layers),
            (layout.ffn_dim // 2, layout.ffn_dim),
            bits,
            layerwise,
            heads=heads,
            sparsities=sparsities,
            pattern=pattern,
            scale_groups=scale_groups,
            decoder=decoder,
        ),
        straight_through=straight_through,
        activations=activations,
        tokenizer=tokenizer or CharTokenizer(),
        quantizer=quantizer or Lsq(PerChannel()),
        features=LogMelSettings(),
        attention=attention,
        ctc=ctc,
        augment=augment,
        adaptive_dropout=adaptive_dropout,
        first_scales=first_scales,
    )
    calibrate_inputs(task, [make_batch(seed=7)])
    return task


def learn(task: SpeechTask, batch: Batch, member: SubnetConfig, objective: Objective = PLAIN) -> Output:
    """What a member says in training, front end and all."""
    shared = task.shared(batch.waveforms, batch.lengths)
    return task.learn(shared, member, batch.labels, batch.label_lengths, objective.depths(member, task.space))


@torch.no_grad()
def perturb(task: SpeechTask) -> SpeechTask:
    """Moves all weights and scales away from where they began, biases and norms included, as training does."""
    generator = torch.Generator().manual_seed(1)
    for parameter in task.parameters():
        parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return task


def calibrate(task: SpeechTask, *members: SubnetConfig) -> SpeechTask:
    """Gives members the statistics of other batches than tests use, if they need any."""
    recalibrate(task, [make_batch(seed=8), make_batch(seed=9)], members)
    return task


def make_batch(seconds: tuple[float, ...] = (0.9, 0.65, 0.5), seed: int = 0) -> Batch:
    """Noise with made-up labels, padded to the longest."""
    generator = torch.Generator().manual_seed(seed)
    lengths = [round(16_000 * duration) for duration in seconds]
    labels = [torch.randint(1, 28, (2 + index % 3,), generator=generator).tolist() for index in range(len(lengths))]
    return collate(
        waveforms=[0.1 * torch.randn(length, generator=generator) for length in lengths],
        labels=labels,
        seeds=list(range(len(lengths))),
        ids=[f"utterance-{index}" for index in range(len(lengths))],
        texts=[""] * len(lengths),
    )


def dense(weights: dict[str, torch.Tensor | Quantised]) -> dict[str, torch.Tensor]:
    """Effective weights with the quantised ones in floating point, for ``load_state_dict``."""
    return {name: weight.dequantise() if isinstance(weight, Quantised) else weight for name, weight in weights.items()}


def mixed_member() -> SubnetConfig:
    """A layer-wise member whose layers differ in width and bits."""
    return SubnetConfig.parse("1-24-3bit+1-12-8bit+1-24-32bit")


def mixed_heads() -> SubnetConfig:
    """A layer-wise member whose layers differ in the number of heads, too."""
    return SubnetConfig.parse("1-24-3bit-h2+1-12-8bit-h1+1-24-32bit-h4")


def stored_bytes(task: SpeechTask, member: SubnetConfig) -> int:
    """Bytes of the effective weights of a member: packed integers, their scales, and everything else in 32 bits."""
    stored = 0
    for weight in task.weights(member).values():
        if isinstance(weight, Quantised):
            stored += -(-weight.integers.numel() * weight.bits // 8) + 4 * weight.scale.numel()
        else:
            stored += 4 * weight.numel()
    return stored
