"""Tests of `allinone bench`."""

import json

TINY = ("experiment=tiny_synthetic", "device=cpu", "format=json")
SMALL = ("space.depths=[1,2]", "space.widths=[24,48]", "augment=none")
TINY_WAV2VEC2 = {
    "model_type": "wav2vec2",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}


def test_steps_are_given_as_ratios(call, here):
    said = call("bench", "step", *TINY, "rounds=1", "seconds=0.5")
    assert said.code == 0
    rows = json.loads(said.out)
    assert rows[0]["case"] == "plain step"
    assert {"weights", "front_end", "process_ratio", "wall_ratio", "peak_memory", "memory_ratio"} <= set(rows[0])
    assert rows[0]["wall_ratio"] == 1
    assert list(here.iterdir()) == []


def test_the_cost_of_zeros_is_given_as_ratios(call, here):
    arguments = ("bench", "masks", *TINY, "rounds=1", "seconds=0.5", "batches=[1,5]")
    said = call(*arguments)
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert [row["part"] for row in found["costs"]] == [
        "survival levels by Magnitude",
        "survival levels by Magnitude, every 256 updates",
        "in-batch sandwich of 4, no distillation",
        "in-batch sandwich of 4",
        "3-64-8bit-s80, 1 x 0.5 s",
        "3-64-8bit-s80, 5 x 0.5 s",
    ]
    assert found["level_bytes"] == 1
    keys = {"part", "unit", "process_ratio", "wall_ratio", "target", "wall_seconds"}
    assert all(set(row) == keys for row in found["costs"])
    table = call(*arguments[:-1], "criterion=taylor", "criterion.batches=1", "format=table").out
    assert "survival levels by Taylor, every 256 updates" in table
    assert "1 byte for each weight" in table
    groups = "space.pattern={_target_: allinone.sparsity.NOfM, size: 4}"
    rows = json.loads(call(*arguments[:-1], "space.sparsities=[0.5]", groups, "criterion=adam").out)["costs"]
    assert rows[-1]["part"] == "3-64-8bit-2of4, 8 x 0.5 s"
    assert list(here.iterdir()) == []


def test_what_cannot_be_measured_of_masks_is_refused(call, here):
    said = call("bench", "masks", *TINY, "batches=[]", "every=0")
    assert "batches of utterances, 1 or more; found every=0 and batches=[]. Give such numbers" in said.err


def test_a_comparison_that_lacks_its_package_is_left_out_and_said_once(call, here, monkeypatch):
    monkeypatch.setattr("allinone.report.machine._version", lambda package: None)
    monkeypatch.setattr("allinone.report.published_step.find_spec", lambda package: None)
    (here / "config.json").write_text(json.dumps(TINY_WAV2VEC2))
    arguments = (*TINY, "network=pretrained", f"network.folder={here}", "features=waveform", *SMALL, "rounds=1")
    said = call("bench", "step", *arguments, "seconds=0.5")
    assert said.code == 0, said.err
    assert not any("transformers" in row["case"] for row in json.loads(said.out))
    assert said.err.count("transformers is missing, which the comparison with transformers in bench step") == 1
    assert "pip install 'allinone[huggingface]'." in said.err


def test_waiting_for_data_is_measured_on_the_corpus(call, here, corpus):
    said = call("bench", "data", *TINY, f"data.corpus.table={corpus}", "data.batch_seconds=10", "steps=2", "skip=0")
    assert said.code == 0
    row = json.loads(said.out)
    assert row["steps"] == 2
    assert 0 <= row["share"] < 1


def test_importing_a_directory_is_measured(call, here, directories, monkeypatch):
    monkeypatch.setattr("allinone.report.machine._version", lambda package: None)
    monkeypatch.setattr("allinone.report.pretrained_bench.find_spec", lambda package: None)
    arguments = ("bench", "pretrained", f"init={directories['wavlm base']}", "rounds=1")
    said = call(*arguments, "format=json")
    assert said.code == 0, said.err
    (row,) = json.loads(said.out)
    assert row["import"] == "ours"
    assert {"wall_seconds", "process_seconds", "wall_ratio", "peak_memory", "memory_ratio", "weights_bytes"} < set(row)
    assert said.err.count("transformers is missing, which the comparison") == 1
    table = call(*arguments).out
    assert "wavlm of 2 layers" in table
    assert "0 MB of weights" in table
    assert list(here.iterdir()) == []


def test_without_a_directory_one_of_random_weights_is_imported(call, here, directories, monkeypatch, tmp_path):
    monkeypatch.setattr("allinone.report.pretrained_bench.find_spec", lambda package: None)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    network = ("network=pretrained", f"network.folder={directories['hubert base']}")
    said = call("bench", "pretrained", *network, "rounds=1")
    assert said.code == 0, said.err
    assert "(random weights)" in said.out
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    assert list(here.iterdir()) == []


def test_a_directory_that_cannot_be_imported_is_refused(call, here):
    said = call("bench", "pretrained", f"init={here}")
    assert (said.code, said.out) == (1, "")
    assert "needs a config.json; found none at" in said.err


def test_ways_of_decoding_are_timed_beside_greedy_decoding_and_the_encoder(call, here, trained):
    arguments = ("bench", "decode", f"checkpoint={trained.checkpoint}", "rounds=1", "utterances=4", "device=cpu")
    said = call(*arguments, "decoder=joint", "decoder.ctc_weight=1", "format=json")
    assert said.code == 0
    rows = json.loads(said.out)
    assert [row["part"] for row in rows] == ["encoder", "greedy", "joint"]
    assert rows[0]["wall_whole"] == rows[0]["wall_speed"] == rows[0]["audio_seconds"] / rows[0]["wall_seconds"]
    assert list(here.iterdir()) == []
    assert "4 utterances" in call(*arguments).out  # greedy alone, as a table


def test_nothing_cannot_be_timed(call, here, trained):
    said = call("bench", "decode", f"checkpoint={trained.checkpoint}", "utterances=0")
    assert (said.code, said.out) == (1, "")
    assert "requires at least 1 utterance; found utterances=0. Ask" in said.err


def test_bench_alone_names_the_benchmarks(call):
    said = call("bench")
    assert said.code == 2
    assert "bench step, bench masks, bench data, bench decode, bench pretrained" in said.err
    assert "found 'bench'" in said.err
