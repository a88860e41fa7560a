"""Tests of the measurement of imports: that it does what a training does and counts what it says, not how fast."""

import json
from dataclasses import replace

import pytest
import torch

from allinone.models import wav2vec2_base, whisper_tiny
from allinone.models.huggingface import pretrained_features, pretrained_layout, read_pretrained
from allinone.quantization import Lsq
from allinone.report import pretrained_bench
from allinone.report.interleaved import Timing
from allinone.report.memory import Spent, in_fresh_process
from allinone.report.pretrained_bench import (
    IN_MEMORY,
    OURS,
    PUBLISHED,
    ImportCost,
    PretrainedBench,
    halves,
    import_pretrained,
)
from allinone.report.random_directory import write_random
from allinone.subnet import SearchSpace, SubnetConfig
from allinone.tasks.speech import SpeechTask
from allinone.training.pretrained import labels_of, take_over_pretrained

MEGABYTE = 2**20


def hold(megabytes: int) -> torch.Tensor:
    return torch.ones(megabytes * MEGABYTE // 4)


def threads(expected: int) -> None:
    assert torch.get_num_threads() == expected


def test_the_peak_of_work_is_what_it_held_without_what_came_before():
    peaks = [in_fresh_process(hold, megabytes).peak for megabytes in (64, 192)]
    if None in peaks:
        pytest.skip("this system does not tell how much memory a process used")
    assert peaks[1] - peaks[0] == pytest.approx(128 * MEGABYTE, rel=0.1)  # pyright: ignore
    afterwards = in_fresh_process(hold, 192, ready=hold).peak
    assert afterwards is not None
    assert afterwards < 200 * MEGABYTE


def test_work_has_as_many_threads_as_its_caller():
    in_fresh_process(threads, torch.get_num_threads())


def test_an_import_gives_the_network_that_a_training_starts_from(directories):
    folder = directories["wavlm base"]
    found = import_pretrained(folder, Lsq())
    labels = labels_of(folder)
    assert labels is not None
    task = SpeechTask(
        layout=pretrained_layout(folder),
        space=found.space,
        tokenizer=labels,
        quantizer=Lsq(),
        features=pretrained_features(folder),
    )
    take_over_pretrained(task, folder)
    states = found.state_dict(), task.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(weight, states[1][name]) for name, weight in states[0].items())
    assert [member.name for member in (found.space.largest, found.space.smallest)] == ["2-48-8bit-h4", "2-24-4bit-h2"]


def test_reading_by_transformers_is_measured_beside_ours(directories):
    ways = []
    costs = PretrainedBench(directories["wav2vec2 base"], Lsq()).measure(1, ways.append)
    assert [cost.way for cost in costs] == [OURS, PUBLISHED, IN_MEMORY]
    assert ways == [OURS, PUBLISHED, IN_MEMORY] * 2  # the first round is not counted
    rows = [cost.to_dict() for cost in costs]
    assert rows[1]["wall_ratio"] == rows[1]["process_ratio"] == 1.0
    size = (directories["wav2vec2 base"] / "model.safetensors").stat().st_size
    assert all(row["weights_bytes"] == size and row["wall_seconds"] > 0 for row in rows)


def test_where_transformers_is_not_installed_there_is_nothing_to_compare_with(directories, monkeypatch):
    monkeypatch.setattr(pretrained_bench, "find_spec", lambda package: None)
    (cost,) = PretrainedBench(directories["hubert base"], Lsq()).measure(1)
    row = cost.to_dict()
    assert (row["import"], row["wall_ratio"], row["process_ratio"]) == (OURS, None, None)


def test_costs_are_medians_and_ratios_of_the_same_round_and_the_peak_is_the_highest():
    ours = tuple(Spent(Timing(wall, 2 * wall), peak) for wall, peak in ((3.0, 100), (4.0, 300), (8.0, 200)))
    theirs = tuple(Spent(Timing(wall, wall), None) for wall in (1.0, 1.0, 4.0))
    row = ImportCost(OURS, ours, theirs, 150).to_dict()
    assert (row["wall_seconds"], row["process_seconds"], row["wall_ratio"], row["process_ratio"]) == (
        4.0,
        8.0,
        3.0,
        6.0,
    )
    assert (row["peak_memory"], row["memory_ratio"]) == (300, 2.0)
    silent = ImportCost(PUBLISHED, theirs, theirs, 150).to_dict()
    assert (silent["peak_memory"], silent["memory_ratio"]) == (None, None)


def test_no_rounds_are_refused(directories):
    with pytest.raises(ValueError, match=r"requires at least 1 round; found rounds=0\. Ask for more"):
        PretrainedBench(directories["hubert base"], Lsq()).measure(0)


def test_a_directory_of_random_weights_is_one_that_training_starts_from(directories, tmp_path):
    layout = pretrained_layout(directories["data2vec"])
    write_random(layout, tmp_path, seed=3)
    found = read_pretrained(tmp_path)
    assert found.layout == layout
    assert found.tokenizer is not None
    assert found.tokenizer.tokens[:4] == ("<pad>", " ", "'", "a")
    torch.manual_seed(3)
    weights = layout.build(SubnetConfig.uniform(2, 48)).state_dict()
    assert all(torch.equal(found.weights[f"encoder.{name}"], weight) for name, weight in weights.items())
    assert json.loads((tmp_path / "config.json").read_text())["vocab_size"] == found.tokenizer.vocab_size == 29


def test_random_weights_of_another_family_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"wav2vec 2\.0 family; found whisper\. Give network=wav2vec2_base"):
        write_random(whisper_tiny(), tmp_path, seed=0)
    assert not list(tmp_path.iterdir())


def test_members_have_all_and_half_of_what_can_be_halved():
    assert halves(wav2vec2_base()) == SearchSpace((12,), (1536, 3072), (4, 8), heads=(6, 12))
    odd = replace(wav2vec2_base(), ffn_dim=3071, num_heads=3)
    assert halves(odd) == SearchSpace((12,), (3071,), (4, 8), heads=(3,))
