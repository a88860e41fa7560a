"""Laws of writing: what is written is the supernet's member, of the announced size, and there whole or not at all."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from allinone.decoding import Greedy
from allinone.export import artefact_weights, extract, read_artefact, write_artefact, writer
from allinone.export.tensors import encode
from allinone.models import decoder_tiny
from allinone.quantization import AbsMax, Lsq, PerChannel, PerGroup, PerTensor, Quantised
from allinone.subnet import SearchSpace, SubnetConfig
from allinone.text import SentencePieceTokenizer
from allinone.training.start import take_over_weights
from tests.export.families import BITS, LAYOUTS, MIXED, RATES, edit_manifest, make_task, read_manifest, write

SMALL = SubnetConfig.parse("2-32-4bit")


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize(
    "quantizer",
    [Lsq(PerChannel()), Lsq(PerTensor()), AbsMax(PerChannel()), Lsq(PerGroup(2)), AbsMax(PerGroup(2))],
    ids=str,
)
def test_every_bit_width_survives_writing_and_reading(layout, quantizer, tmp_path):
    task = make_task(layout(), quantizer)
    for member in [*(SubnetConfig.uniform(2, 32, bits) for bits in BITS), MIXED]:
        artefact = read_artefact(write_artefact(task, member, tmp_path / member.name))
        weights = task.weights(member)
        assert artefact.weights.keys() == weights.keys()
        for name, weight in weights.items():
            read = artefact.weights[name]
            if isinstance(weight, Quantised):
                assert isinstance(read, Quantised)
                assert read.bits == weight.bits
                assert torch.equal(read.integers, weight.integers)
                assert torch.equal(read.scale, weight.scale)
            else:
                assert isinstance(read, torch.Tensor)
                assert torch.equal(read, weight)
        state = extract(task, member).state_dict()
        assert all(torch.equal(weight, state[name]) for name, weight in artefact.network.state_dict().items())
        assert not artefact.network.training
        assert not any(parameter.requires_grad for parameter in artefact.network.parameters())


@pytest.mark.parametrize(
    ("decoder", "member"),
    [
        (None, "2-32-4bit"),
        (SearchSpace((1, 2), (32, 64), (4, 8), layerwise=True), "2-32-4bit_1-32-4bit"),
        (SearchSpace((1, 2), (32, 64), (4, 8), layerwise=True), "2-32-4bit_1-64-8bit+1-32-4bit"),
    ],
    ids=["whole", "small", "layer-wise"],
)
def test_a_decoder_is_written_with_its_own_depth_width_and_bits(decoder, member, tmp_path):
    task, subnet = make_task(attention=decoder_tiny(), decoder=decoder), SubnetConfig.parse(member)
    folder = write_artefact(task, subnet, tmp_path / "member")
    artefact, weights = read_artefact(folder), task.weights(subnet)
    layers = subnet.decoder or decoder_tiny().whole
    assert artefact.manifest.member == member
    assert artefact.attention == decoder_tiny()
    biases = [artefact.network.get_parameter(f"decoder.layers.{i}.feed_forward.up.bias") for i in range(len(layers))]
    assert [len(bias) for bias in biases] == [layer.width for layer in layers]
    assert artefact.weights.keys() == weights.keys()
    bits = {name: read.bits for name, read in artefact.weights.items() if isinstance(read, Quantised)}
    for index, layer in enumerate(layers):
        assert bits.get(f"decoder.layers.{index}.attention.query.weight", 32) == layer.bits
    assert bits.get("decoder.embedding.labels.weight", 32) == layers[0].bits
    found = sum(tensor.nbytes for tensor in load_file(folder / "model.safetensors").values())
    assert found == task.cost(subnet).bytes_stored
    assert "CTC and an attention decoder" in (folder / "README.md").read_text()


@pytest.mark.parametrize("member", ["2-32-4bit_1-32-4bit", "3-64-8bit_2-64-8bit"])
@pytest.mark.parametrize("quantizer", [Lsq(), Lsq(PerGroup(16))], ids=str)
def test_a_member_without_a_ctc_output_survives_writing_and_reading(quantizer, member, tmp_path):
    decoder = SearchSpace((1, 2), (32, 64), (4, 8), layerwise=True)
    task = make_task(quantizer=quantizer, attention=decoder_tiny(), decoder=decoder, ctc=False).eval()
    folder, subnet = tmp_path / "member", SubnetConfig.parse(member)
    artefact = read_artefact(write_artefact(task, subnet, folder))
    assert read_manifest(folder)["network"]["ctc"] is False
    assert artefact.network.head is None
    assert artefact.weights.keys() == task.weights(subnet).keys()
    found = sum(tensor.nbytes for tensor in load_file(folder / "model.safetensors").values())
    assert found == task.cost(subnet).bytes_stored
    assert "| output | 29 tokens, an attention decoder |" in (folder / "README.md").read_text()
    waveforms, lengths = 0.1 * torch.randn(2, 16_000), torch.tensor([16_000, 9_000])
    decode = Greedy().build(task.tokenizer)
    with torch.no_grad():
        heard, expected = artefact.network(waveforms, lengths), task(waveforms, lengths, subnet)
        assert torch.equal(heard.encoded, expected.encoded)
        assert heard.log_probs is None
        assert decode(heard) == decode(expected)


def test_an_export_of_a_network_with_a_ctc_output_that_does_not_say_so_is_read_as_before(tmp_path):
    folder = write(tmp_path / "member")
    edit_manifest(folder, lambda manifest: manifest["network"].pop("ctc"))
    assert read_artefact(folder).network.head is not None


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("granularity", [PerTensor(), PerChannel(), PerGroup(2)], ids=str)
def test_the_tensors_of_the_file_have_the_bytes_that_the_cost_counts(layout, granularity, tmp_path):
    task = make_task(layout(), Lsq(granularity))
    for member in [*(SubnetConfig.uniform(3, 64, bits) for bits in BITS), MIXED]:
        file = write_artefact(task, member, tmp_path / member.name) / "model.safetensors"
        found = sum(tensor.nbytes for tensor in load_file(file).values())
        assert found == task.cost(member).bytes_stored
        assert file.stat().st_size - found < 500  # the header


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_member_with_fewer_heads_survives_writing_and_reading_and_is_as_small_as_the_cost_counts(layout, tmp_path):
    task = make_task(replace(layout(), head_dim=10), heads=(1, 2)).eval()
    waveforms, lengths = 0.1 * torch.randn(2, 16_000), torch.tensor([16_000, 9_000])
    mixed = SubnetConfig.parse("1-64-3bit-h1+1-32-8bit-h2+1-48-32bit-h1")
    for member in [*(SubnetConfig.uniform(2, 32, bits, 1) for bits in BITS), mixed]:
        folder = write_artefact(task, member, tmp_path / member.name)
        artefact = read_artefact(folder)
        assert artefact.manifest.member == member.name
        queries = [artefact.network.get_parameter(f"encoder.layers.{i}.attention.query.weight") for i in range(2)]
        assert [len(query) for query in queries] == [10 * (layer.heads or 0) for layer in member.layers[:2]]
        found = sum(tensor.nbytes for tensor in load_file(folder / "model.safetensors").values())
        assert found == task.cost(member).bytes_stored
        with torch.no_grad():
            heard, expected = artefact.network(waveforms, lengths), task(waveforms, lengths, member)
        assert torch.equal(heard.log_probs, expected.log_probs)


def test_the_manifest_tells_everything_about_the_member(tmp_path):
    task = make_task()
    folder = tmp_path / "new" / "member"
    written = write_artefact(task, SMALL, folder, results=RATES, data_hash="abc", about_data="Read by nobody, CC0.")
    assert written == folder
    manifest, cost = read_manifest(folder), task.cost(SMALL)
    assert (manifest["format"], manifest["format_version"], manifest["member"]) == ("allinone-member", 1, "2-32-4bit")
    assert manifest["parameters"] == cost.parameters
    assert manifest["bytes"] == round(cost.bytes)
    assert manifest["bytes_stored"] == cost.bytes_stored
    assert manifest["macs"] == round(cost.macs)
    assert manifest["ratio"] == task.full_bytes / cost.bytes
    parts = {"layout", "attention", "ctc", "activations", "features", "tokenizer", "space"}
    assert manifest["network"].keys() == parts
    assert manifest["tensors"].keys() == task.weights(SMALL).keys()
    assert manifest["training_data"] == {"hash": "abc", "about": "Read by nobody, CC0."}
    assert manifest["results"] == RATES
    assert {"torch", "safetensors"} <= manifest["versions"].keys()
    assert manifest["files"].keys() == {"model.safetensors", "tokens.txt", "README.md"}
    assert {file.name for file in folder.iterdir()} == {*manifest["files"], "manifest.json"}
    assert len({file.stat().st_mode for file in folder.iterdir()}) == 1  # whoever may read one may read all


def test_tokens_are_listed_with_their_labels(tmp_path):
    lines = (write(tmp_path / "member") / "tokens.txt").read_text(encoding="utf-8").splitlines()
    assert lines[:4] == ["<blank> 0", "  1", "' 2", "a 3"]
    assert len(lines) == 29


def test_a_sentencepiece_tokenizer_survives(tmp_path):
    tokenizer = SentencePieceTokenizer.train(["one two three", "three two one", "two one"] * 5, vocab_size=10)
    artefact = read_artefact(write_artefact(make_task(tokenizer=tokenizer), SMALL, tmp_path / "member"))
    assert artefact.tokenizer == tokenizer


def test_tokens_that_break_a_line_are_refused():
    with pytest.raises(ValueError, match=r"A token must be written on a line of its own; found '\\n'\. Normalise"):
        writer.tokens_text(("<blank>", "\n"))


def test_writing_leaves_the_supernet_as_it_is(tmp_path):
    task = make_task().train()
    before = {name: weight.clone() for name, weight in task.state_dict().items()}
    write_artefact(task, SMALL, tmp_path / "member")
    assert task.training
    assert all(torch.equal(weight, before[name]) for name, weight in task.state_dict().items())


def test_training_starts_from_what_was_written(tmp_path):
    task = make_task()
    folder = write_artefact(task, SubnetConfig.uniform(3, 64, 32), tmp_path / "member")
    other = make_task()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    take_over_weights(other, artefact_weights(folder), str(folder))
    trained = {name: weight for name, weight in task.state_dict().items() if "log_scales" not in name}
    assert all(torch.equal(weight, other.state_dict()[name]) for name, weight in trained.items())


# What must not be written. Each time nothing is left behind, not even a folder above.


def assert_nothing_is_left(folder: Path) -> None:
    assert list(folder.iterdir()) == []


def test_outputs_that_differ_from_the_supernets_are_refused(monkeypatch, tmp_path):
    def slightly_off(weights, kept, nested):
        tensors, table = encode(weights, kept, nested)
        tensors["floats"][-1] += 1e-6
        return tensors, table

    monkeypatch.setattr(writer, "encode", slightly_off)
    message = r"In an export the outputs must be exactly those of the supernet; found a difference of .*e-.*\. Nothing"
    with pytest.raises(RuntimeError, match=message):
        write(tmp_path / "new" / "member")
    assert_nothing_is_left(tmp_path)


def test_tensors_of_other_bytes_than_announced_are_refused(monkeypatch, tmp_path):
    def longer(weights, kept, nested):
        tensors, table = encode(weights, kept, nested)
        return tensors | {"packed": torch.cat([tensors["packed"], torch.zeros(1, dtype=torch.uint8)])}, table

    monkeypatch.setattr(writer, "encode", longer)
    with pytest.raises(RuntimeError, match=r"In an export the tensors must be \d+ bytes; found \d+\. Nothing was"):
        write(tmp_path / "new" / "member")
    assert_nothing_is_left(tmp_path)


@pytest.mark.parametrize("part", ["head.bias", "encoder.layers.0.module.feed_forward_1.up.weight"])
def test_a_diverged_supernet_is_refused(part, tmp_path):
    task = make_task()
    with torch.no_grad():
        task.get_parameter(part).view(-1)[0] = torch.nan
    for member in (SMALL, SubnetConfig.uniform(2, 32, 32)):
        with pytest.raises(ValueError, match=r"must be finite; found NaN or infinity.*\. This training has diverged: "):
            write_artefact(task, member, tmp_path / "new" / "member")
    assert_nothing_is_left(tmp_path)


def test_error_rates_that_are_none_are_refused(tmp_path):
    for results in ({"test": {"wer": float("inf")}}, {"wer": 12.0}):
        with pytest.raises(ValueError, match=r"Results must be finite error rates by split.*; found .*\. Hand over"):
            write(tmp_path / "member", results=results)
    assert_nothing_is_left(tmp_path)


def test_what_is_no_member_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"A member of this search space has .*; found '2-32-5bit'\. The nearest"):
        write(tmp_path / "new" / "member", "2-32-5bit")
    assert_nothing_is_left(tmp_path)


def test_an_interruption_leaves_nothing(monkeypatch, tmp_path):
    def interrupted(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, "read_artefact", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "new" / "member")
    assert_nothing_is_left(tmp_path)


def test_an_earlier_export_is_replaced_only_on_demand(tmp_path):
    folder = write(tmp_path / "member")
    before = (folder / "manifest.json").read_bytes()
    message = r"The output must be a folder that is new or empty, .*; found README\.md, .* in .*\. Name another folder"
    with pytest.raises(ValueError, match=message):
        write(folder, "1-64-8bit")
    assert (folder / "manifest.json").read_bytes() == before
    write(folder, "1-64-8bit", overwrite=True)
    assert read_artefact(folder).manifest.member == "1-64-8bit"
    assert [path.name for path in tmp_path.iterdir()] == ["member"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_foreign_files_are_never_replaced(overwrite, tmp_path):
    (tmp_path / "thesis.tex").write_text("all of it")
    (tmp_path / "manifest.json").write_text(json.dumps({"format": "other", "files": {"thesis.tex": {}}}))
    with pytest.raises(ValueError, match=r"nothing else .*; found manifest\.json, thesis\.tex in .*\. Name another"):
        write(tmp_path, overwrite=overwrite)
    assert (tmp_path / "thesis.tex").read_text() == "all of it"
    member = write(tmp_path / "member")
    (member / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"found README\.md, .*notes\.txt.*\. Name another folder"):
        write(member, overwrite=overwrite)
    assert (member / "notes.txt").read_text() == "mine"


def test_a_failed_replacement_keeps_the_earlier_export(monkeypatch, tmp_path):
    folder = write(tmp_path / "member")
    monkeypatch.setattr(writer, "verify_outputs", lambda *_: (_ for _ in ()).throw(RuntimeError("no")))
    with pytest.raises(RuntimeError, match="no"):
        write(folder, "1-64-8bit", overwrite=True)
    assert read_artefact(folder).manifest.member == "2-32-4bit"
    assert [path.name for path in tmp_path.iterdir()] == ["member"]
