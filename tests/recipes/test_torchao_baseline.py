"""Tests of the comparison with torchao: its training is ours but for the rounding, and its sizes are measured."""

import importlib.util
import json
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor

from allinone.cli.main import main
from allinone.cli.trained_data import ready_data
from allinone.data import write_synthetic_corpus
from allinone.export.artefact import read_artefact
from allinone.scoring import ErrorCounts, read_trn, word_errors
from tests.published import save_whole_whisper

SCRIPT = Path(__file__).parents[2] / "recipes/amazon_queen/torchao_baseline.py"
TRAIN = ("train", "experiment=amazon_queen_whisper_dense", "attention=pretrained", "network=pretrained")
SIZES = ("space.depths=[2]", "space.widths=[48]", "space.decoder.depths=[3]", "space.decoder.widths=[40]")
STEPS = ("trainer.validate_every_steps=2", "trainer.checkpoint_every_steps=2", "trainer.accelerator=cpu")
LABELS = "decoder.embedding.labels.weight"


def load() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("torchao_baseline", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


baseline = load()


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a corpus, a tiny published Whisper, a checkpoint with its weights, and that exported."""
    folder = tmp_path_factory.mktemp("peers")
    write_synthetic_corpus(folder / "my", utterances=30)
    save_whole_whisper(folder / "published")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        export(train(folder, folder / "published", "dense", "trainer.max_steps=1", "optimizer.lr=0"), folder / "model")
    return folder


def corpus(place: Path) -> tuple[str, ...]:
    """The settings of the corpus."""
    table = ("data=table", f"data.corpus.table={place / 'my' / 'lines.tsv'}", f"data.cache={place / 'cache'}")
    return (*table, "data.num_workers=0", "data.prepare_workers=1", "data.batch_seconds=8", "optimizer.lr=0.01")


def train(place: Path, init: Path, run: str, *more: str) -> Path:
    """Our own training; the checkpoint of its last step, which is not rounded to half precision."""
    start = (f"init={init}", f"network.folder={place / 'published'}", f"attention.folder={place / 'published'}")
    folder = place / run
    assert main([*TRAIN, *SIZES, *STEPS, *corpus(place), *start, *more, f"hydra.run.dir={folder}"]) == 0
    return last_step(folder)


def last_step(run: Path) -> Path:
    (checkpoint,) = (run / "checkpoints").glob("step-*.ckpt")
    return checkpoint


def export(checkpoint: Path, folder: Path) -> None:
    assert main(["export", f"checkpoint={checkpoint}", "subnet=largest", f"output={folder}"]) == 0


def arguments(place: Path, output: Path, *more: str) -> Namespace:
    return baseline.parser().parse_intermixed_args(
        ["--model", str(place / "model"), "--output", str(output), *more, *corpus(place)]
    )


def stored(file: Path) -> dict[str, Tensor]:
    return torch.load(file, weights_only=True)


def quantised(state: dict[str, Tensor]) -> dict[str, Any]:
    return {name: weight for name, weight in state.items() if isinstance(weight, baseline.IntxUnpackedToInt8Tensor)}


@pytest.mark.parametrize("augment", [(), ("augment=spec_augment", "data.speed_factors=[0.9]")], ids=["plain", "masks"])
def test_but_for_the_rounding_this_is_our_training(place, tmp_path, monkeypatch, augment):
    monkeypatch.chdir(place)
    run = f"ours{len(augment)}"
    export(train(place, last_step(place / "dense"), run, "trainer.max_steps=2", *augment), tmp_path / "ours")
    config = baseline.read_config("amazon_queen_whisper_dense", place / "model", [*corpus(place), *augment])
    task = baseline.PlainTask(read_artefact(place / "model"), instantiate(config.augment))
    before = {name: weight.clone() for name, weight in task.network.state_dict().items()}
    baseline.train(task, ready_data({**config.data, "seed": config.seed}, task), config, 2, "32")
    ours = read_artefact(tmp_path / "ours").network.state_dict()
    assert all(not torch.equal(weight, before[name]) for name, weight in ours.items())
    for name, weight in task.network.state_dict().items():
        torch.testing.assert_close(weight, ours[name], rtol=0, atol=0)


@pytest.mark.parametrize("embedding", [False, True])
@pytest.mark.parametrize(("bits", "group"), [(4, None), (8, 8)])
@torch.no_grad()
def test_what_is_trained_is_what_is_stored_and_what_is_evaluated(place, bits, group, embedding):
    task = baseline.PlainTask(read_artefact(place / "model")).eval()
    config, chosen = baseline.quantiser(task.network, bits, group, embedding)
    waveforms, labels = torch.randn(2, 8000) / 10, torch.tensor([[5, 9, 40], [7, 3, 2]])

    def spelt() -> Tensor:
        shared = task.shared(waveforms, torch.tensor([8000, 6000]))
        return task.learn(shared, task.member, labels, torch.tensor([3, 3]), ()).spelt

    plain = spelt()
    convert = baseline.prepare(task.network, config, chosen)
    trained = spelt()
    convert()
    assert not torch.equal(trained, plain)
    assert torch.equal(spelt(), trained)
    weights = quantised(task.network.state_dict())
    assert (LABELS in weights) == embedding
    baseline.dequantise(task.network)
    assert not quantised(task.network.state_dict())
    assert torch.equal(spelt(), trained)
    for name, weight in weights.items():  # at most 2 ** bits values share a scale
        for row in weight.dequantize().unflatten(-1, (-1, group or weight.shape[-1])).flatten(0, 1):
            assert 2 < len(row.unique()) <= 2**bits, name


@pytest.mark.parametrize(
    ("bits", "more"),
    [
        (4, ("--decoder", "greedy")),
        (8, ("--group", "8", "--embedding", "--split", "test", "--decoder", "beam")),
        (4, ("--embedding", "--split", "test", "--decoder", "greedy", "--steps", "2", "--precision", "bf16")),
    ],
    ids=["after training", "after training, in groups", "while training"],
)
def test_a_comparison_is_measured(place, tmp_path, bits, more):
    results = baseline.run(arguments(place, tmp_path / "out", "--bits", str(bits), *more))
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == results
    state = stored(tmp_path / "out" / "weights.pt")
    weights = quantised(state)
    assert len(weights) == 2 * 6 + 3 * 10 + 2 * results["embedding"]
    others = [weight for name, weight in state.items() if name not in weights]
    scales = sum(weight.scale.numel() for weight in weights.values())
    integers = sum(weight.numel() for weight in weights.values())
    floats = sum(weight.numel() for weight in others)
    assert results["bytes_packed"] == bits * integers // 8 + 4 * (scales + floats)
    assert results["bytes_file"] == (tmp_path / "out" / "weights.pt").stat().st_size
    zero_points = scales  # a byte each
    assert (
        results["bytes_file"] > integers + zero_points + 4 * (scales + floats) > results["bytes_packed"]
    )  # 4 bits as 8
    assert any("front_end" in name for name in results["float_matrices"])
    assert (LABELS in results["float_matrices"]) != results["embedding"]
    if results["steps"]:
        assert results["audio_seconds"] > 0
        assert torch.tensor(results["loss"]).isfinite()
    for split, rows in results["splits"].items():
        references = dict(read_trn(tmp_path / "out" / f"{split}-reference.trn"))
        for decoder, row in rows.items():
            heard = dict(read_trn(tmp_path / "out" / f"{split}-{decoder}.trn"))
            assert heard.keys() == references.keys()
            counts = [word_errors(references[name], heard[name]) for name in references]
            assert row["wer"] == sum(counts, ErrorCounts()).rate


def test_what_does_not_fit_is_refused(place, monkeypatch):
    artefact = read_artefact(place / "model")
    network = baseline.PlainTask(artefact).network
    with pytest.raises(ValueError, match=r"--group requires a divisor of .*; found 32 and encoder\..* with 48 inputs"):
        baseline.quantiser(network, 4, 32, False)
    with pytest.raises(
        ValueError, match=r"without adaptive_dropout, .*trainer.ema_decay.*; found amazon_queen_hybrid .*KEY=VAL"
    ):
        baseline.read_config("amazon_queen_hybrid", place / "model", ["trainer.ema_decay=0.9"])
    with pytest.raises(ValueError, match=r"--steps requires 0 or more; found -1. Give 0"):
        baseline.run(arguments(place, place / "out", "--bits", "4", "--steps", "-1"))
    monkeypatch.setitem(sys.modules, "torchao", None)
    with pytest.raises(SystemExit, match=r"requires torchao 0.18 or later; found none .*pip install 'allinone\[peers"):
        load()
