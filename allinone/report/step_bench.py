"""What a training step of a supernet costs, in steps of its largest member written with ordinary layers."""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from allinone.data import Batch
from allinone.decoding import Heard
from allinone.layers import FeatureSettings
from allinone.models import DecoderLayout, Layout
from allinone.quantization import Activations, Quantizer
from allinone.report.interleaved import Timing, interleaved, median_ratio
from allinone.report.noise import noise_batch
from allinone.report.published_step import CASE, has_published_step, published_step
from allinone.report.step_cases import FULL, OWN, PLAIN, QUANTISED, Kind, StepCase, step_cases
from allinone.subnet import FULL_PRECISION, SearchSpace
from allinone.tasks.input_ranges import calibrate_inputs
from allinone.tasks.network import build_network, require_output
from allinone.tasks.output import Output
from allinone.tasks.speech import SpeechTask
from allinone.text import Tokenizer
from allinone.training import Objective
from allinone.training.objective import Weights
from allinone.training.one_pass import Draw, assign, one_pass

Step = Callable[[], None]


@dataclass(frozen=True)
class StepCost:
    """What one kind of step costs.

    Args:
        kind: which one.
        timings: of every round.
        plain: of the plain step in the same rounds.
    """

    kind: Kind
    timings: tuple[Timing, ...]
    plain: tuple[Timing, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values: median seconds, and medians of ratios to the plain step."""
        return {
            **self.kind._asdict(),
            "process_ratio": median_ratio(self.timings, self.plain, "process"),
            "wall_ratio": median_ratio(self.timings, self.plain, "wall"),
            "process_seconds": statistics.median(timing.process for timing in self.timings),
            "wall_seconds": statistics.median(timing.wall for timing in self.timings),
        }


@dataclass(frozen=True, kw_only=True)
class StepBench:
    """Forward and backward passes without the optimiser, on noise.

    Args:
        layout: the network.
        attention: its attention decoder; None if it has none.
        ctc: whether it has a CTC output.
        space: its members' sizes and precisions.
        tokenizer: its labels.
        quantizer: how weights are rounded.
        features: how features are computed.
        objective: how losses weigh, where there is distillation.
        utterances: of a batch.
        seconds: of each utterance.
        precision: of the arithmetic: ``32-true`` or ``bf16-mixed``.
        compile: whether layers are compiled, one by one, those of the plain network too.
        device: where to compute.
        seed: of weights and noise.
        activations: how the inputs of linear maps are rounded; None leaves them as they are.
    """

    layout: Layout
    attention: DecoderLayout | None
    space: SearchSpace
    tokenizer: Tokenizer
    quantizer: Quantizer
    features: FeatureSettings
    objective: Objective
    utterances: int = 4
    seconds: float = 10.0
    precision: str = "32-true"
    compile: bool = False
    device: str = "cpu"
    seed: int = 0
    ctc: bool = True
    activations: Activations | None = None

    def __post_init__(self) -> None:
        require_output(self.layout, self.ctc, self.attention)
        self.objective.refuse_misfit(self.ctc)
        if self.precision not in ("32-true", "bf16-mixed"):
            raise ValueError(
                f"precision must be 32-true or bf16-mixed; found {self.precision!r}. Choose one of the two."
            )
        if self.utterances < 4:
            raise ValueError(f"An in-batch sandwich of 4 requires 4 utterances; found {self.utterances}. Ask for more.")

    def measure(self, rounds: int, progress: Callable[[Kind], None] = lambda kind: None) -> list[StepCost]:
        """Times all kinds of steps in turns; the plain step comes first."""
        network = self.network()
        tasks = {front_end: self.task(front_end) for front_end in (FULL, OWN)}
        modules = [network, *tasks.values()]
        steps = {
            kind: self.run(network if case is None else tasks[kind.front_end], case) for kind, case in self._plan()
        }
        if self._has_published():
            published, steps[Kind(CASE)] = self._published()
            modules.append(published)

        def forget_gradients() -> None:
            for module in modules:
                module.zero_grad(set_to_none=True)

        timings = interleaved(steps, rounds, forget_gradients, self.synchronise, progress)
        plain = tuple(timings[Kind(PLAIN)])
        return [StepCost(kind, tuple(measured), plain) for kind, measured in timings.items()]

    def kinds(self) -> list[Kind]:
        """What is measured, in order."""
        published = [Kind(CASE)] if self._has_published() else []
        return [*(kind for kind, _ in self._plan()), *published]

    def step(self, kind: Kind) -> tuple[Step, torch.nn.Module]:
        """One kind of step, and the module that it trains, built for it alone."""
        if kind.case == CASE:
            network, step = self._published()
            return step, network
        case = dict(self._plan())[kind]
        module = self.network() if case is None else self.task(kind.front_end)
        return self.run(module, case), module

    def synchronise(self) -> None:
        """Waits until the device has done what it was given."""
        if torch.device(self.device).type == "cuda":
            torch.cuda.synchronize()

    def _plan(self) -> Iterator[tuple[Kind, StepCase | None]]:
        yield Kind(PLAIN), None
        for weights, front_end in ((FULL, FULL), (QUANTISED, FULL), (QUANTISED, OWN)):
            for case in step_cases(self.space, weights == QUANTISED):
                yield Kind(case.name, weights, front_end), case

    def network(self) -> torch.nn.Module:
        """The largest member of ordinary layers, with nothing elastic."""
        torch.manual_seed(self.seed)
        parts = self.layout, self.features, self.tokenizer, self.space.largest, self.attention, self.ctc
        network = build_network(*parts)
        if self.compile:
            for layer in network.encoder.layers:
                layer.compile()
        return network.to(self.device).train()

    def task(self, front_end: str) -> SpeechTask:
        """The supernet, its front end at full precision or at the member's."""
        torch.manual_seed(self.seed)
        front_end_bits = None if front_end == OWN else FULL_PRECISION
        task = SpeechTask(
            layout=replace(self.layout, front_end_bits=front_end_bits),  # pyright: ignore[reportArgumentType]
            space=self.space,
            tokenizer=self.tokenizer,
            quantizer=self.quantizer,
            features=self.features,
            attention=self.attention,
            ctc=self.ctc,
            activations=self.activations,
        )
        calibrate_inputs(task, [self.batch().to("cpu")])
        if self.compile:
            task.encoder.compile_layers()
        return task.to(self.device).train()

    def _has_published(self) -> bool:
        return self.ctc and has_published_step(self.layout)

    def _published(self) -> tuple[torch.nn.Module, Step]:
        batch = self.batch()
        torch.manual_seed(self.seed)
        network, step = published_step(self.layout, self.features, self.tokenizer.vocab_size, batch, self.device)

        def in_precision() -> None:
            with self._arithmetic():
                step()

        return network, in_precision

    def batch(self, utterances: int | None = None) -> Batch:
        """Noise, with made-up labels; None is as many utterances as all steps have."""
        return noise_batch(utterances or self.utterances, self.seconds, self.tokenizer.vocab_size, self.seed).to(
            self.device
        )

    def run(self, module: torch.nn.Module, case: StepCase | None, utterances: int | None = None) -> Step:
        """One kind of step of a supernet, or the plain one of a network of ordinary layers, which is no case."""
        batch = self.batch(utterances)

        def plain() -> None:
            with self._arithmetic():
                heard: Heard = module(batch.waveforms, batch.lengths)
                spelt = None if heard.speller is None else heard.speller(heard.encoded, heard.lengths, batch.labels)
                output = Output(heard.log_probs, heard.lengths, heard.encoded, (), spelt, batch.label_lengths + 1)
                losses = replace(self.objective, intermediate=0.0).losses(output, batch.labels, batch.label_lengths)
            (losses.sum() / len(batch)).backward()

        if case is None:
            return plain
        objective = self.objective
        if not case.distillation:
            objective = replace(objective, depth=Weights(1.0, 0.0), other=Weights(1.0, 0.0))

        def elastic() -> None:
            assert isinstance(module, SpeechTask)
            with self._arithmetic():
                one_pass(
                    module,
                    batch,
                    assign(batch, case.members, case.in_batch, step=0),
                    objective,
                    scale=1 / len(batch),
                    backward=torch.Tensor.backward,
                    draw=Draw(self.seed, 0, 0),
                )

        return elastic

    def _arithmetic(self) -> torch.autocast:
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.precision == "bf16-mixed")
