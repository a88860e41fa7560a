"""Tests of `allinone subnets`: the size tables of the papers, clean output, and nothing left behind."""

import json
import subprocess
import sys
from math import prod

import pytest

from allinone.layers import LogMelSettings
from allinone.models import conformer_tiny, decoder_tiny, encoder_cost, wav2vec2_base
from allinone.quantization import Lsq, PerChannel
from allinone.subnet import SubnetConfig
from allinone.tasks import build_network
from allinone.tasks.cost import system_cost
from allinone.text import CharTokenizer

# All-in-one, Tables 2 and 4 (the two errors of Table 2 that the handbook of the project names are corrected)
SWITCHBOARD = {
    "12-2048-8bit": ("4.0", "34"),
    "12-2048-4bit": ("8.0", "34"),
    "12-1024-8bit": ("6.4", "21"),
    "12-1024-4bit": ("12.8", "21"),
    "8-2048-8bit": ("5.8", "23"),
    "8-2048-4bit": ("11.7", "23"),
    "8-1024-8bit": ("9.2", "15"),
    "8-1024-4bit": ("18.4", "15"),
}
TINY = ("experiment=tiny_synthetic", "tokenizer=char")
LIBRISPEECH = {
    "12-3072-8bit": ("3.08", "94"),
    "12-3072-6bit": ("3.72", "94"),
    "12-2560-8bit": ("3.34", "85"),
    "12-2560-6bit": ("4.00", "85"),
    "11-3072-8bit": ("3.27", "87"),
    "11-3072-6bit": ("3.93", "87"),
    "11-2560-8bit": ("3.53", "79"),
    "11-2560-6bit": ("4.22", "79"),
}


@pytest.mark.parametrize(
    ("experiment", "digits", "published"),
    [("switchboard_conformer", 1, SWITCHBOARD), ("librispeech_wav2vec2", 2, LIBRISPEECH)],
)
def test_the_published_size_tables_come_out_digit_by_digit(call, here, experiment, digits, published):
    said = call("subnets", f"experiment={experiment}", "format=json")
    rows = json.loads(said.out)
    found = {row["name"]: (f"{row['ratio']:.{digits}f}", f"{row['parameters'] / 1e6:.0f}") for row in rows}
    assert list(found.items()) == list(published.items())
    table = call("subnets", f"experiment={experiment}").out
    shown = {cells[0]: cells[1:] for cells in map(str.split, table.splitlines()) if cells and cells[0] in published}
    for name, (ratio, parameters) in published.items():
        assert f"{float(shown[name][2]):.{digits}f}" == ratio
        assert f"{float(shown[name][0]):.0f}" == parameters


def test_omni_sparsitys_sizes_come_out_as_printed(call, here):
    rows = json.loads(call("subnets", "experiment=omni_emformer", "format=json").out)
    assert [row["name"] for row in rows] == ["20-2048-8bit", *(f"20-2048-8bit-s{zeros}" for zeros in (50, 60, 70, 80))]
    assert [f"{row['bytes'] / 1e6:.0f}" for row in rows] == ["77", "45", "39", "32", "26"]
    assert len({row["parameters"] for row in rows}) == len({row["macs"] for row in rows}) == 1
    layerwise = ("space.layerwise=true", "sample=3")
    listed = json.loads(call("subnets", "experiment=omni_emformer", *layerwise, "format=json").out)
    assert all(rows[0]["bytes"] >= row["bytes"] >= rows[-1]["bytes"] for row in listed)
    assert len(listed) == 5


def test_zeros_are_counted_with_their_index_in_any_network(call, here):
    zeros = ("space.sparsities=[0.5]", "space.pattern={_target_: allinone.sparsity.NOfM, size: 4}", "space.bits=[4]")
    rows = {row["name"]: row for row in json.loads(call("subnets", *TINY, *zeros, "format=json").out)}
    dense = {row["name"]: row for row in json.loads(call("subnets", *TINY, "space.bits=[4]", "format=json").out)}
    assert set(rows) == {"3-64-4bit", *(f"{name}-2of4" for name in dense)}
    for name, whole in dense.items():
        specs = list(conformer_tiny().tensors(SubnetConfig.parse(name)))
        weights = sum(prod(spec.shape) for spec in specs if spec.prunable)
        of_layers = sum(prod(spec.shape) for spec in specs if spec.name.startswith("layers."))
        less = whole["bytes"] - rows[f"{name}-2of4"]["bytes"]
        assert less == pytest.approx(of_layers * (4 - 3) / 8, abs=1)  # half of 4 bits, and one of a mask
        stored = whole["bytes_stored"] - rows[f"{name}-2of4"]["bytes_stored"]
        assert stored == weights * (4 - 2 - 3 / 4) / 8  # half of 4 bits, and 3 for a group of four


def test_a_pattern_that_fits_no_layer_is_refused(call, here):
    pattern = "space.pattern={_target_: allinone.sparsity.Blocks, rows: 64}"
    said = call("subnets", *TINY, "space.sparsities=[0.5]", pattern)
    assert (said.code, said.out) == (1, "")
    assert (
        "64x1 blocks do not divide 32 outputs and 64 inputs of encoder.layers.0.feed_forward_1.down.weight." in said.err
    )


def test_json_is_all_there_is_on_standard_output_and_bytes_are_integers(call, here):
    said = call("subnets", "experiment=tiny_synthetic", "format=json")
    rows = json.loads(said.out)
    assert (said.code, said.err, len(rows)) == (0, "", 8)
    for row in rows:
        assert set(row) == {"name", "parameters", "bytes", "ratio", "bytes_stored", "system_ratio", "macs", "per_cent"}
        assert row["per_cent"] == pytest.approx(100 / row["ratio"])
        assert all(isinstance(row[key], int) for key in ("parameters", "bytes", "bytes_stored", "macs"))
        assert SubnetConfig.parse(row["name"]).name == row["name"]
    assert not list(here.iterdir())


def test_a_table_fits_into_a_terminal_of_100_characters(call, here, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    lines = call("subnets", "experiment=switchboard_conformer").out.splitlines()
    assert max(map(len, lines)) <= 100
    assert any("12-1024-4bit" in line and "10.45" in line and "12.82" in line for line in lines)


def test_stored_bytes_are_those_of_the_whole_artefact(call, here):
    quantizer = Lsq(PerChannel())
    rows = json.loads(call("subnets", "experiment=tiny_synthetic", "format=json").out)
    for row in rows:
        member, layout = SubnetConfig.parse(row["name"]), conformer_tiny()
        assert row["bytes_stored"] == system_cost(layout, None, member, quantizer, 29).bytes_stored
        assert row["bytes_stored"] - encoder_cost(layout, member, quantizer.granularity).bytes_stored == 4 * 29 * 33


def test_the_ratio_of_the_whole_counts_a_decoder_that_the_papers_do_not(call, here):
    def rows(*arguments):
        return json.loads(call("subnets", "experiment=tiny_synthetic", "format=json", *arguments).out)

    layout, member = conformer_tiny(), SubnetConfig.uniform(3, 64)
    for row, alone in zip(rows("attention=decoder_tiny"), rows(), strict=True):
        decoder = row["bytes_stored"] - alone["bytes_stored"]
        plain = build_network(layout, LogMelSettings(), CharTokenizer(), member, decoder_tiny())
        whole = 4 * sum(weight.numel() for weight in plain.parameters())
        assert plain.decoder is not None
        assert decoder == 4 * sum(weight.numel() for weight in plain.decoder.parameters())
        assert row["system_ratio"] == whole / row["bytes_stored"]
        assert (row["ratio"], row["bytes"]) == (alone["ratio"], alone["bytes"])


def test_the_papers_count_the_head_of_wav2vec2_at_full_precision():
    member, quantizer = SubnetConfig.uniform(12, 3072, 8), Lsq(PerChannel())
    whole = system_cost(wav2vec2_base(), None, member, quantizer, 29)
    encoder = encoder_cost(wav2vec2_base(), member, quantizer.granularity)
    weights = 29 * 768 + 29
    assert whole.parameters - encoder.parameters == weights
    assert whole.bytes - encoder.bytes == whole.bytes_stored - encoder.bytes_stored == 4 * weights


def test_a_tokenizer_that_is_yet_to_be_trained_counts_with_the_size_it_will_have(call, here):
    few, many = (
        json.loads(call("subnets", "tokenizer=sentencepiece", f"tokenizer.vocab_size={size}", "format=json").out)
        for size in (100, 101)
    )
    assert many[0]["bytes_stored"] - few[0]["bytes_stored"] == 4 * (144 + 1)
    said = call("subnets", "tokenizer=char_from_text")
    assert said.code == 1
    assert "which learns them from the corpus" in said.err


def test_a_layerwise_space_lists_its_ends_and_a_sample(call, here):
    arguments = ("subnets", "experiment=tiny_synthetic", "space.layerwise=true", "sample=3")
    names = [row["name"] for row in json.loads(call(*arguments, "format=json").out)]
    assert (len(names), names[0], names[-1]) == (5, "3-64-8bit", "2-32-4bit")
    assert all(SubnetConfig.parse(name).name == name for name in names)
    said = call(*arguments)
    assert "80 members, of which 5 are listed" in said.out


def test_a_space_of_five_dimensions_tells_how_many_members_it_has(call, here):
    """24 kinds of layers (2 widths, 2 numbers of heads, 3 precisions, dense or 2:4), and 4, 5 or 6 of them."""
    said = call("subnets", "experiment=amazon_queen_all", "sample=3")
    assert f"{24**4 + 24**5 + 24**6:,} members, of which 5 are listed" in said.out


def test_members_with_fewer_heads_are_listed_after_wider_ones(call, here):
    said = call("subnets", "experiment=tiny_synthetic", "space.heads=[1,2]", "space.depths=[3]", "format=json")
    rows = {row["name"]: row for row in json.loads(said.out)}
    assert list(rows) == [f"3-{width}-{bits}bit-h{heads}" for width in (64, 32) for heads in (2, 1) for bits in (8, 4)]
    whole = json.loads(call("subnets", "experiment=tiny_synthetic", "space.depths=[3]", "format=json").out)[0]
    assert rows["3-64-8bit-h2"] == whole | {"name": "3-64-8bit-h2"}
    for size in ("parameters", "bytes", "bytes_stored", "macs"):
        assert rows["3-64-8bit-h1"][size] < whole[size]


def test_wav2vec2_is_counted_with_fewer_heads(call, here):
    """Half of the heads of 12 layers: 4 * 768 * 384 weights and 3 * 384 biases each."""
    said = call("subnets", "experiment=librispeech_wav2vec2", "space.heads=[6,12]", "format=json")
    rows = {row["name"]: row for row in json.loads(said.out)}
    half = 12 * (4 * 768 * 384 + 3 * 384)
    assert rows["12-3072-8bit-h12"]["parameters"] - rows["12-3072-8bit-h6"]["parameters"] == half


def test_a_sample_of_a_space_that_is_listed_whole_is_refused(call, here):
    said = call("subnets", "experiment=tiny_synthetic", "sample=3")
    assert said.code == 1
    assert "sample requires a layer-wise space" in said.err


def test_a_space_larger_than_the_network_is_refused(call, here):
    said = call("subnets", "experiment=tiny_synthetic", "space.widths=[64,128]")
    assert (said.code, said.out) == (1, "")
    assert "must fit into the network of 3 layers and width 64; found depths up to 3 and widths up to 128" in said.err


def test_a_scale_for_each_group_is_counted_and_groups_that_fit_no_layer_are_refused(call, here):
    def rows(*arguments):
        return json.loads(call("subnets", "experiment=tiny_synthetic", "format=json", *arguments).out)

    matrices = [spec for spec in conformer_tiny().tensors(SubnetConfig.uniform(3, 32, 4)) if spec.bits == 4]
    inputs = sum(spec.shape[0] * (spec.shape[1] // 16 - 1) for spec in matrices if len(spec.shape) == 2)
    groups = {row["name"]: row for row in rows("quantizer=absmax_groups", "quantizer.granularity.size=16")}
    for row in rows("quantizer=absmax"):
        more = groups[row["name"]]["bytes_stored"] - row["bytes_stored"]
        assert more == 4 * inputs if row["name"] == "3-32-4bit" else more > 0
        assert groups[row["name"]]["bytes"] == row["bytes"]
    said = call("subnets", "experiment=tiny_synthetic", "quantizer=lsq_groups", "space.widths=[48,64]")
    assert (said.code, said.out) == (1, "")
    assert "Groups of 64 inputs must divide the inputs of every matrix of few bits" in said.err
    assert "found 32 inputs of encoder.layers.0.feed_forward_1.up.weight." in said.err
    assert "(here all of these do: 16, 8, 4, 2, 1)" in said.err


def test_a_wrong_format_is_refused(call, here):
    assert "format must be one of table, json; found 'xml'" in call("subnets", "format=xml").err


def test_the_command_runs_as_a_process_and_loads_neither_trainer_nor_data(tmp_path):
    program = (
        "import sys; from allinone.cli.main import main; code = main(sys.argv[1:]); "
        "assert not {'lightning', 'lhotse'} & set(sys.modules); sys.exit(code)"
    )
    command = [sys.executable, "-c", program, "subnets", "experiment=tiny_synthetic", "format=json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(done.stdout)) == 8
    assert not list(tmp_path.iterdir())
