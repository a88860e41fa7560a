"""Tests of the memory that is computed beforehand: against what PyTorch saves and allocates."""

import dataclasses
import gc
import json
from operator import itemgetter
from typing import Any

import pytest
import torch
from torch import Tensor

from allinone.layers import LogMelSettings, WaveformSettings, WhisperLogMelSettings
from allinone.layers.elastic import Elastic
from allinone.models import (
    ConformerLayout,
    DecoderLayout,
    SpectrogramLayout,
    TransformerLayout,
    WaveformLayout,
    xls_r_2b,
)
from allinone.quantization import DynamicActivations, Lsq, StaticActivations
from allinone.report.kept import Arithmetic, kept_by_layer
from allinone.report.memory_plan import MemoryPlan, plan_memory
from allinone.report.noise import noise_batch
from allinone.report.training_step import TrainingStep
from allinone.sparsity import Blocks
from allinone.subnet import LayerConfig, SandwichSampler, SearchSpace, SubnetConfig
from allinone.text import CharTokenizer
from allinone.training import AdamW, FitSettings, Objective

FRONT_END = WaveformLayout(channels=(64,) * 7, position_kernel=32)
POST = TransformerLayout(3, 256, 1024, 4, FRONT_END, "wav2vec2")
PRE = dataclasses.replace(
    POST, norm_first=True, front_end=dataclasses.replace(FRONT_END, norm="layer", bias=True, frozen=False)
)
CONFORMERS = ConformerLayout(3, 128, 256, 4, 15, 32, True, "relative", 32)
CONFORMER = ConformerLayout(1, 32, 64, 2, 7, 8, True, "rotary", 32)
TRANSFORMER = TransformerLayout(1, 32, 64, 2, FRONT_END, "wav2vec2")
WHISPER = TransformerLayout(2, 128, 512, 4, SpectrogramLayout(), "whisper", norm_first=True, key_bias=False)
WITHOUT_CTC = {"attention": DecoderLayout(2, 256, 4), "ctc": False, "objective": Objective(ctc_weight=0.0)}
AGAIN = {"recompute": True}
SPARSE = SearchSpace((2, 3), (128, 256), (4, 8), sparsities=(0.5, 0.8), pattern=Blocks(8, 1))
DYNAMIC, STATIC = {"activations": DynamicActivations()}, {"activations": StaticActivations()}
ONE = FitSettings(max_steps=1)


def saved_bytes(layout: Any, bits: int, mixed: bool) -> tuple[int, int]:
    """Bytes that one layer saves for its backward pass, a frame: in all, and those of its weights."""
    batch, time, encoder = 2, 40, layout.build(SubnetConfig.uniform(1, layout.ffn_dim))
    layer = encoder.layers[0].train()
    elastic = Elastic(layer, layer.axes, Lsq(), (8,))
    x = torch.randn(batch, time, layout.dim, requires_grad=True) * 1.0
    context = layer.context(x, torch.tensor([time, time - 5]))
    if encoder.distances is not None:
        context = context._replace(positions=encoder.distances(time))
    others = {tensor.untyped_storage().data_ptr() for tensor in (*elastic.parameters(), *context[:2])}
    saved: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if (place := tensor.untyped_storage().data_ptr()) not in others:
            saved[place] = tensor
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=mixed),
    ):
        elastic(LayerConfig(layout.ffn_dim, bits), x, context)
    size = sum(weight.numel() for weight in layer.parameters() if weight.dim() > 1)
    weights = size * (2 if mixed else 4 if bits < 32 else 0)  # in mixed precision the copies in 16 bits alone
    return sum(tensor.untyped_storage().nbytes() for tensor in saved.values()) - weights, batch * time


@pytest.mark.parametrize(
    "layout",
    [
        TRANSFORMER,
        dataclasses.replace(TRANSFORMER, norm_first=True, head_dim=8),
        dataclasses.replace(TRANSFORMER, buckets=8, family="wavlm"),
        CONFORMER,
        dataclasses.replace(CONFORMER, convolution_norm="batch"),
        dataclasses.replace(CONFORMER, positions="relative"),
    ],
    ids=["post-norm", "pre-norm", "wavlm", "conformer", "batch norm", "relative positions"],
)
@pytest.mark.parametrize(("bits", "dropout"), [(32, 0.0), (8, 0.1)])
def test_a_layer_keeps_the_bytes_that_are_computed(layout, bits, dropout):
    layout = dataclasses.replace(layout, dropout=dropout)
    kept, frames = saved_bytes(layout, bits, mixed=False)
    arithmetic = Arithmetic(mixed=False, on_gpu=False)
    computed = kept_by_layer(layout, LayerConfig(layout.ffn_dim, bits), 40, arithmetic, utterances=2)
    assert computed * frames == pytest.approx(kept, rel=0.03)


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_layer_keeps_the_bytes_that_are_computed_in_mixed_precision(norm_first):
    layout = dataclasses.replace(TRANSFORMER, norm_first=norm_first, dropout=0.0)
    kept, frames = saved_bytes(layout, 8, mixed=True)
    computed = kept_by_layer(layout, LayerConfig(64, 8), 40, Arithmetic(mixed=True, on_gpu=False))
    assert computed * frames == pytest.approx(kept, rel=0.05)


def make_step(layout: Any, space: SearchSpace, features: Any, **changes: Any) -> TrainingStep:
    parts: dict[str, Any] = {
        "layout": layout,
        "attention": None,
        "tokenizer": CharTokenizer(),
        "quantizer": Lsq(),
        "features": features,
        "augment": None,
        "adaptive_dropout": None,
        "layer_drop": 0.0,
        "sampler": SandwichSampler(space, num_random=0),
        "objective": Objective(),
        "optimizer": AdamW(lr=1e-4),
    }
    return TrainingStep(**parts | changes)


def allocated(training: TrainingStep, utterances: int, seconds: float, folder: Any) -> int:
    """The most bytes of tensors that two steps have at once."""
    trace, task = folder / "trace.json", training.task()
    weights = sum(weight.nbytes for weight in [*task.parameters(), *task.buffers()])
    gc.collect()
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True, acc_events=True
    ) as profile:
        step = training.build(task)
        batch = noise_batch(utterances, seconds, training.tokenizer.vocab_size)
        step(batch, 0)
        step(batch, 1)
    profile.export_chrome_trace(str(trace))
    events = json.loads(trace.read_text())["traceEvents"]
    memory = sorted(
        ((event["ts"], event["args"]) for event in events if event.get("name") == "[memory]"), key=itemgetter(0)
    )
    before = memory[0][1]["Total Allocated"] - memory[0][1]["Bytes"]
    return max(counts["Total Allocated"] for _, counts in memory) - before + weights


@pytest.mark.parametrize(
    ("layout", "space", "features", "changes"),
    [
        (CONFORMERS, SearchSpace((2, 3), (128, 256), (4, 8)), LogMelSettings(), {}),
        (CONFORMERS, SearchSpace((2, 3), (128, 256), (4, 8)), LogMelSettings(), AGAIN),
        (
            CONFORMERS,
            SearchSpace((2, 3), (128, 256), (4, 8)),
            LogMelSettings(),
            {"attention": DecoderLayout(2, 256, 4)},
        ),
        (CONFORMERS, SearchSpace((2, 3), (128, 256), (4, 8)), LogMelSettings(), WITHOUT_CTC),
        (CONFORMERS, SPARSE, LogMelSettings(), {}),
        (POST, SearchSpace((2, 3), (512, 1024), (4, 8)), WaveformSettings(), {}),
        (PRE, SearchSpace((2, 3), (512, 1024), (8, 32)), WaveformSettings(), AGAIN),
        (WHISPER, SearchSpace((1, 2), (256, 512), (4, 8)), WhisperLogMelSettings(), {}),
        (WHISPER, SearchSpace((1, 2), (256, 512), (4, 8)), WhisperLogMelSettings(), DYNAMIC),
        (POST, SearchSpace((2, 3), (512, 1024), (4, 8)), WaveformSettings(), STATIC),
    ],
    ids=[
        "conformer",
        "conformer, computed again",
        "conformer with a decoder",
        "conformer with a decoder alone",
        "sparse conformer",
        "post-norm",
        "pre-norm, computed again",
        "whisper",
        "whisper, inputs rounded frame by frame",
        "post-norm, inputs rounded by learned scales",
    ],
)
def test_a_step_needs_about_the_memory_that_is_computed(layout, space, features, changes, tmp_path):
    step = make_step(layout, space, features, **changes)
    plan = plan_memory(step, ONE, utterances=4, seconds=2.0)
    found = allocated(step, 4, 2.0, tmp_path)
    assert plan.total == pytest.approx(found, rel=0.35)


def test_survival_levels_take_a_byte_for_each_weight_that_can_be_dropped():
    sparse = make_step(CONFORMERS, SPARSE, LogMelSettings())
    levels = [buffer for buffer in sparse.task().buffers() if buffer.dtype == torch.uint8]
    assert plan_memory(sparse, ONE, utterances=4, seconds=2.0).levels == sum(level.nbytes for level in levels) > 0
    dense = make_step(CONFORMERS, SearchSpace((2, 3), (128, 256), (4, 8)), LogMelSettings())
    assert plan_memory(dense, ONE, utterances=4, seconds=2.0).levels == 0


def make_plan(devices: int, sharded: bool = False, recompute: bool = False, **settings: Any) -> MemoryPlan:
    space = SearchSpace((40, 48), (5120, 7680), (4, 8))
    step = make_step(
        xls_r_2b(),
        space,
        WaveformSettings(),
        optimizer=AdamW(lr=1e-4, sharded=sharded),
        precision="bf16-mixed",
        recompute=recompute,
        device="cuda",
    )
    return plan_memory(step, FitSettings(max_steps=1, devices=devices, **settings), utterances=4, seconds=25)


def test_two_billion_parameters_take_the_bytes_of_their_numbers():
    whole, shared = make_plan(8), make_plan(8, sharded=True)
    assert 2.15e9 < whole.weights / 4 < 2.17e9
    assert whole.gradients == pytest.approx(whole.weights, rel=0.01)  # but for frozen convolutions
    assert whole.moments == 2 * whole.gradients
    assert shared.moments == pytest.approx(whole.moments / 8, rel=0.01)
    assert dataclasses.replace(shared, moments=whole.moments) == whole
    assert make_plan(1, sharded=True).moments == whole.moments
    assert whole.average == whole.buckets == 0
    assert make_plan(8, ema_decay=0.999).average == whole.weights
    assert make_plan(8, strategy="ddp").buckets == whole.gradients


def test_layers_that_are_computed_again_keep_their_inputs_and_one_of_them():
    kept, again = make_plan(8), make_plan(8, recompute=True)
    assert again.effective == pytest.approx(kept.effective / 48)
    inputs = 48 * 4 * xls_r_2b().frames(25 * 16_000) * 1920 * 2
    assert inputs < again.activations < 0.1 * kept.activations


def test_a_ctc_output_that_is_not_there_takes_no_memory():
    space = SearchSpace((2, 3), (128, 256), (4, 8))
    changes = ({"attention": DecoderLayout(2, 256, 4)}, WITHOUT_CTC)
    with_ctc, without = (
        plan_memory(make_step(CONFORMERS, space, LogMelSettings(), **change), ONE, utterances=4, seconds=2.0)
        for change in changes
    )
    assert with_ctc.weights - without.weights == 4 * 29 * (CONFORMERS.dim + 1)
    assert with_ctc.activations > without.activations
