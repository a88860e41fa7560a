"""A whole training step as a run does it, the optimiser's part included, for measurements."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from allinone.data import Batch
from allinone.layers import FeatureSettings, SpecAugment, TimeMasks
from allinone.models import AdaptiveDropout, DecoderLayout, Layout
from allinone.quantization import Activations, Quantizer
from allinone.report.noise import noise_batch
from allinone.subnet import Sampler
from allinone.tasks.groups import refuse_uneven_groups
from allinone.tasks.input_ranges import calibrate_inputs
from allinone.tasks.network import require_output
from allinone.tasks.patterns import refuse_uneven_patterns
from allinone.tasks.speech import SpeechTask
from allinone.text import Tokenizer
from allinone.training import AdamW, Objective
from allinone.training.one_pass import Draw, assign, one_pass

_SECONDS = 2.0  # of noise that is heard for ranges


@dataclass(frozen=True, kw_only=True)
class TrainingStep:
    """What is trained, and how: plain values, which another process can be given.

    Args:
        layout: the network.
        attention: its attention decoder; None if it has none.
        ctc: whether it has a CTC output.
        tokenizer: its labels.
        quantizer: how weights are rounded.
        features: how features are computed.
        augment: masks them; None leaves it out.
        adaptive_dropout: how much less dropout smaller members get; None gives all the same.
        layer_drop: how often a layer of a smaller member is left out.
        sampler: the members, and which of them a step trains.
        objective: weights of their losses.
        optimizer: settings of the optimiser.
        precision: of the arithmetic: ``32-true`` or ``bf16-mixed``.
        recompute: whether layers are computed again in the backward pass.
        device: where to compute.
        activations: how the inputs of linear maps are rounded; None leaves them as they are.
    """

    layout: Layout
    attention: DecoderLayout | None
    tokenizer: Tokenizer
    quantizer: Quantizer
    features: FeatureSettings
    augment: SpecAugment | TimeMasks | None
    adaptive_dropout: AdaptiveDropout | None
    layer_drop: float
    sampler: Sampler
    objective: Objective
    optimizer: AdamW
    precision: str = "32-true"
    recompute: bool = False
    device: str = "cpu"
    ctc: bool = True
    activations: Activations | None = None

    def __post_init__(self) -> None:
        require_output(self.layout, self.ctc, self.attention)
        self.objective.refuse_misfit(self.ctc)
        refuse_uneven_groups(self.layout, self.sampler.space, self.attention, self.quantizer)
        refuse_uneven_patterns(self.layout, self.sampler.space, self.attention)

    def task(self) -> SpeechTask:
        """The supernet, with fresh weights; ranges of inputs are those of noise."""
        task = SpeechTask(
            layout=self.layout,
            space=self.sampler.space,
            tokenizer=self.tokenizer,
            quantizer=self.quantizer,
            features=self.features,
            attention=self.attention,
            ctc=self.ctc,
            augment=self.augment,
            adaptive_dropout=self.adaptive_dropout,
            layer_drop=self.layer_drop,
            activations=self.activations,
        )
        calibrate_inputs(task, [noise_batch(1, _SECONDS, self.tokenizer.vocab_size)])
        return task

    def build(self, task: SpeechTask) -> Callable[[Batch, int], None]:
        """A function of a batch and its number that trains the supernet, which it puts into training mode there."""
        task.to(self.device).train()
        task.encoder.recompute = self.recompute
        optimizer = self.optimizer.build(task)
        kind = torch.device(self.device).type

        def step(batch: Batch, number: int) -> None:
            members = self.sampler.members(number, 0)
            batch = batch.to(self.device)
            with torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bf16-mixed"):
                one_pass(
                    task,
                    batch,
                    assign(batch, members, self.sampler.in_batch, number),
                    self.objective,
                    scale=1 / len(batch),
                    backward=torch.Tensor.backward,
                    draw=Draw(0, number, 0),
                )
            optimizer.step()
            optimizer.zero_grad()
            if kind == "cuda":
                torch.cuda.synchronize()

        return step
