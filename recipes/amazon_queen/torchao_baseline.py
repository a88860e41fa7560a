"""The field's quantisers beside ours: an exported member quantised by torchao, after training or while it trains on.

What our one pass is compared with: torchao's `IntxWeightOnlyConfig` at one bit-width, applied to a network as it is
(`--steps 0`, post-training quantisation) or after N updates of torchao's quantisation-aware training (`QATConfig`).
Corpus, batches, loss, optimiser, schedule and clipping are those of an experiment of ours, decoding and scoring ours,
too: but for torchao's rounding this is `allinone train sampler=fixed` and `allinone evaluate`.

Into --output go weights.pt, what a user of torchao saves (`torch.save` of the state dict), results.json, and for
`allinone score` NIST's SPLIT-reference.trn and SPLIT-DECODER.trn. Of torchao 0.18 (README.md says more):

* Four bits are stored as eight, in `bytes_file`; `bytes_packed` is what the same weights would take side by side.
* A matrix that embeds labels and scores them, as Whisper's, is rounded with --embedding. Rounded after training, it
  stays one. torchao's training would round the look-up alone: here, so that what is trained is what is stored, the
  scores get the matrix from the embedding's own quantiser, which is torchao's.
* Convolutions over time cannot be rounded; matrices that stay in floating point are named in `float_matrices`.
"""

import argparse
import json
import logging
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from allinone.cli.errors import told
from allinone.cli.evaluations import Ready
from allinone.cli.tables import show_json
from allinone.cli.trained_data import ready_data
from allinone.data import SpeechDataModule
from allinone.decoding import Decoder, Heard
from allinone.export.artefact import Artefact, read_artefact
from allinone.layers import SpecAugment
from allinone.quantization.packing import packed_bytes
from allinone.report.machine import code, machine
from allinone.scoring import write_trn
from allinone.subnet import SubnetConfig
from allinone.tasks import SpeechNetwork, build_network
from allinone.tasks.output import Output
from allinone.tasks.speech import Shared, SpeechTask
from allinone.training import FitSettings, Objective
from allinone.training.one_pass import Draw, assign, one_pass
from allinone.training.schedule import Schedule

logging.getLogger("torchao").addFilter(  # its kernels for GPUs, which are not used here
    lambda record: not record.getMessage().startswith("Failed to load")
)
try:
    import torchao
    from torchao.quantization import IntxUnpackedToInt8Tensor, IntxWeightOnlyConfig, quantize_
    from torchao.quantization.granularity import PerAxis, PerGroup
    from torchao.quantization.qat import QATConfig, QATStep
except ImportError as error:
    raise SystemExit(
        f"The comparison with torchao requires torchao 0.18 or later; found none that serves ({error}). "
        "Install it: pip install 'allinone[peers]'."
    ) from error

DECODERS = {"greedy": ["decoder=attention_greedy"], "beam": ["decoder=attention", "decoder.min_confidence=null"]}
WEIGHTS = "weights.pt"
NOT_DONE = ("adaptive_dropout", "layer_drop", "teacher", "trainer.ema_decay", "objective.intermediate")

Rows = dict[str, dict[str, Any]]
Chosen = Callable[[nn.Module, str], bool]


class PlainTask(nn.Module):
    """A copy of an exported member, in floating point, under the names by which training and evaluation know supernets.

    ``augment`` masks features in training.
    """

    def __init__(self, artefact: Artefact, augment: SpecAugment | None = None) -> None:
        super().__init__()
        self.augment = augment
        self.member = SubnetConfig.parse(artefact.manifest.member)
        self.tokenizer, self.frames = artefact.tokenizer, artefact.frames
        self.space, self.ctc = artefact.space, artefact.network.head is not None
        self.most_labels = artefact.attention and artefact.attention.most_labels
        self.network: SpeechNetwork = build_network(
            artefact.layout, artefact.features, self.tokenizer, self.member, artefact.attention, self.ctc
        )
        self.network.load_state_dict(artefact.network.state_dict())

    def shared(self, waveforms: Tensor, lengths: Tensor, seeds: Tensor | None = None) -> Shared:
        """Features, as :meth:`SpeechTask.shared`."""
        with torch.no_grad():
            x, lengths = self.network.features(waveforms, lengths)
            return Shared(x if seeds is None or self.augment is None else self.augment(x, lengths, seeds), lengths)

    def learn(self, shared: Shared, subnet: SubnetConfig, labels: Tensor, lengths: Tensor, depths: object) -> Output:
        """What a loss is about, as :meth:`SpeechTask.learn`."""
        heard = self.recognise(shared, subnet)
        decoder = self.network.decoder
        spelt = decoder and decoder(heard.encoded, heard.lengths, labels)
        return Output(heard.log_probs, heard.lengths, heard.encoded, (), spelt, lengths + 1)

    def recognise(self, shared: Shared, subnet: SubnetConfig) -> Heard:
        """For decoding, as :meth:`SpeechTask.recognise`."""
        encoded, lengths = self.network.encoder(shared.x, shared.lengths)
        head = self.network.head
        return Heard(head and head(encoded).log_softmax(-1, torch.float32), lengths, encoded, self.network.decoder)


def read_config(experiment: str, model: Path, overrides: Sequence[str]) -> DictConfig:
    """The configuration that `allinone train experiment=... init=MODEL teacher=null` would have.

    Raises:
        ValueError: if it asks in training for what is not done here.
    """
    config = composed("train", [f"experiment={experiment}", f"init={model}", "teacher=null", *overrides])
    if unmet := [key for key in NOT_DONE if OmegaConf.select(config, key)]:
        raise ValueError(
            f"The comparison with torchao requires an experiment without {', '.join(unmet)}; found {experiment} with "
            "it. Choose another one, or switch it off by KEY=VALUE."
        )
    return config


def composed(verb: str, settings: Sequence[str]) -> DictConfig:
    """The configuration of one of our verbs."""
    with initialize_config_module("allinone.conf", version_base="1.3"):
        return compose(verb, list(settings))


def quantiser(network: nn.Module, bits: int, group: int | None, embedding: bool) -> tuple[Any, Chosen]:
    """What torchao calls its weight-only quantisation, and the modules of a network that it is for.

    Raises:
        ValueError: if a matrix has no whole number of groups.
    """
    kinds = (nn.Linear, nn.Embedding) if embedding else (nn.Linear,)
    for name, module in network.named_modules():
        if group is not None and isinstance(module, kinds) and (group < 1 or module.weight.shape[1] % group):
            raise ValueError(
                f"--group requires a divisor of the inputs of every matrix; found {group} and {name} with "
                f"{module.weight.shape[1]} inputs. Choose another, or leave it out for a scale per output channel."
            )
    granularity = PerAxis(0) if group is None else PerGroup(group)
    config = IntxWeightOnlyConfig(weight_dtype=getattr(torch, f"int{bits}"), granularity=granularity)
    return config, lambda module, name: isinstance(module, kinds)


def prepare(network: SpeechNetwork, config: Any, chosen: Chosen) -> Callable[[], None]:
    """Makes a network train with torchao's rounding; what is returned converts it to torchao's integers afterwards."""
    quantize_(network, QATConfig(config, step=QATStep.PREPARE), chosen)
    decoder, hooks = network.decoder, []
    if decoder is not None and decoder.output.linear is None and chosen(decoder.embedding.labels, "labels"):
        fake = cast(nn.Module, decoder.embedding.labels.weight_fake_quantizer)
        hooks.append(decoder.output.register_forward_pre_hook(lambda _, inputs: (inputs[0], fake(inputs[1]))))

    def convert() -> None:
        for hook in hooks:
            hook.remove()
        quantize_(network, QATConfig(config, step=QATStep.CONVERT), chosen)

    return convert


def train(task: PlainTask, data: SpeechDataModule, config: DictConfig, steps: int, precision: str) -> dict[str, float]:
    """Makes so many updates of a network, prepared or not; ``bf16`` is what Lightning calls bf16-mixed.

    Returns:
        Seconds that the training took, seconds of audio in it, and the loss of its last batch.
    """
    settings: FitSettings = instantiate(config.trainer)
    objective: Objective = instantiate(config.objective)
    schedule: Schedule = instantiate(config.schedule)
    optimizer: torch.optim.Optimizer = instantiate(config.optimizer).build(task)
    rate = LambdaLR(optimizer, lambda step: schedule.factor(step, steps))
    audio, loss = 0.0, float("nan")
    task.train()
    start = time.perf_counter()
    for index, batch in enumerate(islice(data.train_dataloader(), steps * settings.accumulate)):
        audio += batch.seconds
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            losses = one_pass(
                cast(SpeechTask, task),
                batch,
                assign(batch, [task.member], in_batch=False, step=index),
                objective,
                scale=1 / (len(batch) * settings.accumulate),
                backward=Tensor.backward,
                draw=Draw(config.seed, index, rank=0),
            )
        loss = float(losses[task.member.name])
        if (index + 1) % settings.accumulate == 0:
            if settings.gradient_clip is not None:
                nn.utils.clip_grad_norm_(task.parameters(), settings.gradient_clip)
            optimizer.step()
            optimizer.zero_grad()
            rate.step()
    return {"training_seconds": time.perf_counter() - start, "audio_seconds": audio, "loss": loss}


def write_weights(network: nn.Module, file: Path, bits: int) -> dict[str, Any]:
    """Writes what a user of torchao saves, and measures it; see the beginning of this file for the two counts."""
    state = network.state_dict()
    torch.save(state, file)
    packed, in_float = 0, {}
    for name, weight in state.items():
        if isinstance(weight, IntxUnpackedToInt8Tensor):
            assert not weight.zero_point.any(), "symmetric quantisation has no zero points"
            packed += packed_bytes(weight.numel(), bits) + weight.scale.numel() * weight.scale.element_size()
        else:
            packed += weight.numel() * weight.element_size()
            if weight.dim() > 1:
                in_float[name] = weight.numel() * weight.element_size()
    return {"bytes_file": file.stat().st_size, "bytes_packed": packed, "float_matrices": in_float}


def dequantise(network: nn.Module) -> None:
    """Puts the weights in floating point that torchao multiplies with, which it computes anew for every label else."""
    for module in network.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            if isinstance(weight, IntxUnpackedToInt8Tensor):
                setattr(module, name, nn.Parameter(weight.dequantize(), requires_grad=False))


def evaluate(task: PlainTask, data: SpeechDataModule, split: str, decoders: Sequence[str], output: Path) -> Rows:
    """Writes what is heard and what was said, and counts the errors, by each decoder."""
    rows = {}
    for name in decoders:
        decoder: Decoder = instantiate(composed("evaluate", DECODERS[name]).decoder)
        decode = decoder.build(task.tokenizer)
        ready = Ready(output / WEIGHTS, cast(SpeechTask, task), [task.member], data, decoder, decode, "cpu")
        (evaluation,), references = ready.evaluate(split)
        write_trn(output / f"{split}-reference.trn", sorted(references.items()))
        write_trn(output / f"{split}-{name}.trn", sorted(evaluation.texts.items()))
        rows[name] = {"wer": evaluation.words.rate, **vars(evaluation.words), "cer": evaluation.characters.rate}
    return rows


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Quantises, writes and evaluates; what ``results.json`` says."""
    if arguments.steps < 0:
        raise ValueError(f"--steps requires 0 or more; found {arguments.steps}. Give 0 to quantise after training.")
    config = read_config(arguments.experiment, arguments.model, arguments.overrides)
    artefact = read_artefact(arguments.model)
    task = PlainTask(artefact, instantiate(config.augment))
    intx, chosen = quantiser(task.network, arguments.bits, arguments.group, arguments.embedding)
    OmegaConf.resolve(config.data)
    data = ready_data({**config.data, "seed": config.seed}, cast(SpeechTask, task))
    arguments.output.mkdir(parents=True, exist_ok=True)
    training = {"training_seconds": 0.0, "audio_seconds": 0.0}
    if arguments.steps:
        convert = prepare(task.network, intx, chosen)
        training = train(task, data, config, arguments.steps, arguments.precision)
        convert()
    else:
        quantize_(task.network, intx, chosen)
    sizes = write_weights(task.network, arguments.output / WEIGHTS, arguments.bits)
    dequantise(task.network)
    splits, decoders = arguments.split or ("dev", "test"), arguments.decoder or tuple(DECODERS)
    results = {
        **{key: str(value) if isinstance(value, Path) else value for key, value in vars(arguments).items()},
        "bytes_full": artefact.manifest.bytes_stored,
        **sizes,
        **training,
        "splits": {split: evaluate(task, data, split, decoders, arguments.output) for split in splits},
        "made": [f"torchao {torchao.__version__}", f"torch {torch.__version__}", code(), machine()],
    }
    (arguments.output / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    return results


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    said = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = said.add_argument
    add("--model", type=Path, required=True, help="directory of `allinone export subnet=largest`")
    add("--output", type=Path, required=True, help="folder for weights, results and transcripts")
    add("--bits", type=int, choices=(4, 8), required=True, help="of each weight")
    add("--group", type=int, help="inputs that share a scale; left out, those of an output channel")
    add("--embedding", action="store_true", help="round embeddings, too, and the output that is tied to one")
    add("--steps", type=int, default=0, help="updates of quantisation-aware training; 0 quantises as it is")
    add("--precision", choices=("32", "bf16"), default="32", help="of the arithmetic of training")
    add("--experiment", default="amazon_queen_whisper", help="whose data and training these are")
    add("--split", action="append", help="to evaluate on, such as test; may be repeated (default: dev and test)")
    add("--decoder", action="append", choices=tuple(DECODERS), help="may be repeated (default: both)")
    add("overrides", nargs="*", metavar="KEY=VALUE", help="settings of the experiment, such as optimizer.lr=0.00001")
    return said


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with told("torchao_baseline", in_job=False):
        show_json(run(parser().parse_intermixed_args()))
