"""Laws of one artefact for several precisions: each is the supernet's member, and no more is read than it needs."""

import json
import shutil
from pathlib import Path
from typing import cast

import pytest
import torch
from safetensors.torch import load_file

from allinone.export import load, read_artefact, weights_file, write_artefact
from allinone.models import decoder_tiny
from allinone.quantization import DynamicActivations, Nested, PerGroup, PerTensor, Quantised, StaticActivations
from allinone.sparsity import Blocks, NOfM
from allinone.subnet import SearchSpace, SubnetConfig
from allinone.tasks.speech import SpeechTask
from tests.export.families import LAYOUTS, RATES, edit_manifest, make_task, read_manifest
from tests.laws.examples import make_batch, perturb
from tests.laws.examples import make_task as make_sparse_task


def write(task: SpeechTask, member: str, folder: Path, **changes) -> Path:
    return write_artefact(task, SubnetConfig.parse(member), folder, nested=True, **changes)


def assert_holds(task: SpeechTask, members: dict[int, str], folder: Path) -> None:
    """What is read at each precision is the member, integer by integer, and says what it says, bit for bit."""
    batch, task = make_batch(), task.eval()
    held = read_manifest(folder)["nested"]
    assert {int(bits): of_it["member"] for bits, of_it in held.items()} == members
    for bits, name in members.items():
        member = SubnetConfig.parse(name)
        artefact, weights = read_artefact(folder, bits), task.weights(member)
        assert artefact.manifest.member == name
        assert artefact.manifest.bytes == round(task.cost(member).bytes)
        assert artefact.weights.keys() == weights.keys()
        for key, weight in weights.items():
            read = artefact.weights[key]
            assert isinstance(read, Quantised) == isinstance(weight, Quantised)
            if isinstance(read, Quantised) and isinstance(weight, Quantised):
                assert read.bits == weight.bits
                assert torch.equal(read.integers, weight.integers)
                assert torch.equal(read.scale, weight.scale)
        with torch.no_grad():
            heard = artefact.network(batch.waveforms, batch.lengths)
            required = task(batch.waveforms, batch.lengths, member)
        assert torch.equal(heard.encoded, required.encoded)
        assert torch.equal(heard.required_log_probs(), required.required_log_probs())


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    return write(
        make_task(quantizer=Nested()), "2-32-8bit", tmp_path_factory.mktemp("nested") / "member", results=RATES
    )


@pytest.fixture
def folder(written, tmp_path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "member"))


@pytest.mark.parametrize(("layout", "granularity"), [("rotary", PerTensor()), ("relative", PerGroup(2))], ids=str)
def test_each_precision_of_one_file_is_the_supernets_member(layout, granularity, tmp_path):
    task = make_task(LAYOUTS[layout](), Nested(granularity))
    folder = write(task, "2-32-8bit", tmp_path / "member")
    assert_holds(task, {bits: f"2-32-{bits}bit" for bits in (8, 6, 4, 3, 2)}, folder)
    whole = read_artefact(folder)
    assert whole.manifest.member == "2-32-8bit"
    assert all(weight.bits == 8 for weight in whole.weights.values() if isinstance(weight, Quantised))


def test_an_attention_decoder_has_the_same_precisions(tmp_path):
    decoder = SearchSpace((1, 2), (32, 64), (4, 8), layerwise=True)
    task = make_task(quantizer=Nested(), attention=decoder_tiny(), decoder=decoder)
    folder = write(task, "2-32-8bit_1-32-8bit", tmp_path / "member")
    assert_holds(task, {8: "2-32-8bit_1-32-8bit", 4: "2-32-4bit_1-32-4bit"}, folder)


@pytest.mark.parametrize(("pattern", "zeros"), [(NOfM(4), "2of4"), (Blocks(4, 1), "s50")], ids=str)
def test_zeros_stay_in_place_at_each_precision(pattern, zeros, tmp_path):
    task = perturb(make_sparse_task((2, 4, 8), Nested(), sparsities=(0.5,), pattern=pattern))
    folder = write(task, f"2-12-8bit-{zeros}", tmp_path / "member")
    assert_holds(task, {bits: f"2-12-{bits}bit-{zeros}" for bits in (8, 4, 2)}, folder)


def test_one_file_is_as_large_as_that_of_eight_bits_alone(tmp_path):
    task, member = make_task(quantizer=Nested()), SubnetConfig.parse("3-64-8bit")
    alone = write_artefact(task, member, tmp_path / "alone") / "model.safetensors"
    every = write(task, "3-64-8bit", tmp_path / "every") / "model.safetensors"
    assert every.stat().st_size <= 1.05 * alone.stat().st_size
    assert every.stat().st_size == alone.stat().st_size
    assert sum(tensor.nbytes for tensor in load_file(every).values()) == task.cost(member).bytes_stored


class Spy:
    """A file that notes which parts of its tensors are asked for."""

    def __init__(self, file, kind):
        self.file, self.asked = weights_file.safetensors.safe_open(file, kind), []

    def __enter__(self):
        self.inside = self.file.__enter__()
        return self

    def __exit__(self, *error):
        return self.file.__exit__(*error)

    def keys(self):
        return self.inside.keys()

    def get_slice(self, name):
        return SpiedSlice(self.inside.get_slice(name), name, self.asked)


class SpiedSlice:
    def __init__(self, part, name, asked):
        self.part, self.name, self.asked = part, name, asked
        self.get_shape, self.get_dtype = part.get_shape, part.get_dtype

    def __getitem__(self, where):
        self.asked.append((self.name, where.start, where.stop))
        return self.part[where]


def asked_for(monkeypatch, folder: Path, bits: int) -> list[tuple[str, int, int]]:
    spies = []

    def spy(file, kind):
        spies.append(Spy(file, kind))
        return spies[-1]

    with monkeypatch.context() as patch:
        patch.setattr(weights_file, "safe_open", spy)
        read_artefact(folder, bits)
    assert len(spies) == 1
    return spies[0].asked


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_one_plane_more_than_bits_is_read_of_each_matrix_and_the_rest_is_not(bits, monkeypatch, folder):
    asked, planes = asked_for(monkeypatch, folder, bits), min(bits + 1, 8)
    weights = make_task(quantizer=Nested()).weights(SubnetConfig.parse("2-32-8bit")).values()
    counts = [weight.integers.numel() for weight in weights if isinstance(weight, Quantised)]
    starts = [sum(counts[:index]) for index in range(len(counts))]
    expected = [(start, start - (-count * planes // 8)) for start, count in zip(starts, counts, strict=True)]
    assert [(start, stop) for name, start, stop in asked if name == "packed"] == expected
    floats = sum(stop - start for name, start, stop in asked if name == "floats")
    read = sum(stop - start for start, stop in expected) + 4 * floats
    assert read_manifest(folder)["nested"][str(bits)]["bytes_read"] == read

    # what is not read may be anything; what is read may not
    file = folder / "model.safetensors"
    content, before = bytearray(file.read_bytes()), read_artefact(folder, bits).weights
    begin = len(content) - sum(tensor.nbytes for tensor in load_file(file).values())
    begin += 4 * len(load_file(file)["floats"]) * (_offsets(bytes(content)) == ["floats", "packed"])
    needed = {place for start, stop in expected for place in range(start, stop)}
    for place in set(range(sum(counts))) - needed:
        content[begin + place] ^= 255
    file.write_bytes(content)
    after = read_artefact(folder, bits).weights
    for name, weight in before.items():
        if isinstance(weight, Quantised):
            assert torch.equal(weight.integers, cast(Quantised, after[name]).integers)
    if bits < 8:
        with pytest.raises(ValueError, match=r"must have the sha256 \w+; found \w+: it was changed after the export"):
            read_artefact(folder)
    content[begin] ^= 1
    file.write_bytes(content)
    message = rf"read of .* for {bits} bits must have the sha256 \w+; found \w+: it was changed after the export\. Exp"
    with pytest.raises(ValueError, match=message):
        read_artefact(folder, bits)


def _offsets(content: bytes) -> list[str]:
    """The tensors of a file in their order."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    header.pop("__metadata__")
    return sorted(header, key=lambda name: header[name]["data_offsets"][0])


def test_a_recogniser_is_of_the_precision_that_was_asked_for(folder):
    assert load(folder).member == "2-32-8bit"
    assert load(folder).manifest.results == load(folder, bits=8).manifest.results == RATES
    recogniser = load(folder, bits=4)
    assert (recogniser.member, recogniser.manifest.results) == ("2-32-4bit", None)
    card = (folder / "README.md").read_text()
    assert "| precisions, as `bits=` | 8 (reads 0.0" in card
    assert "), 2 (reads 0.0" in card


def test_a_precision_that_is_not_held_is_refused(folder, tmp_path):
    alone = write_artefact(make_task(), SubnetConfig.parse("2-32-8bit"), tmp_path / "alone")
    for bits in (5, 7, 32, "4"):
        message = rf"with {bits!r} bits requires that it holds this precision; found 8, 6, 4, 3, 2\. Ask for one of 8,"
        with pytest.raises(ValueError, match=message):
            read_artefact(folder, cast(int, bits))
    message = (
        r"with 4 bits requires .*; found 2-32-8bit alone, whose integers are not nested\. Leave bits out, or train"
    )
    with pytest.raises(ValueError, match=message):
        read_artefact(alone, 4)
    assert read_artefact(alone, 8).manifest == read_artefact(alone).manifest
    assert "nested" not in read_manifest(alone)


@pytest.mark.parametrize(
    ("member", "changes", "message"),
    [
        (
            "2-32-8bit",
            {"quantizer": None},
            r"requires a supernet of nested integers; found one trained with Lsq\. Train",
        ),
        (
            "2-32-4bit",
            {},
            r"whose layers all have 8 bits, which contain the others; found 2-32-4bit\. Name 2-32-8bit, or",
        ),
        ("1-64-8bit+1-32-4bit", {}, r"whose layers all have 8 bits.*; found 1-64-8bit\+1-32-4bit\. Name 1-64-8bit\+1-"),
    ],
)
def test_what_cannot_be_nested_is_refused_and_nothing_is_left(member, changes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write(make_task(**{"quantizer": Nested()} | changes), member, tmp_path / "member")
    assert not list(tmp_path.iterdir())


def test_members_of_fewer_bits_have_to_be_of_the_space_and_alike_in_all_else(tmp_path):
    with pytest.raises(
        ValueError, match=r"of fewer bits were trained; found a space without them \(none of fewer bits"
    ):
        write(make_sparse_task((8, 32), Nested()), "2-12-8bit", tmp_path / "member")
    task = make_sparse_task((4, 8), Nested(), sparsities=(0.5,), pattern=NOfM(4))
    with pytest.raises(ValueError, match=r"members like 3-24-8bit of fewer bits.*without them \(3-24-4bit\)\. Name an"):
        write(task, "3-24-8bit", tmp_path / "member")
    with pytest.raises(ValueError, match=r"requires layer norm, .*; found a network with batch norm\. Leave nested"):
        write(make_sparse_task((4, 8), Nested(), convolution_norm="batch"), "2-12-8bit", tmp_path / "member")
    assert not list(tmp_path.iterdir())


def test_a_damaged_entry_is_refused(folder):
    name = "encoder.layers.0.feed_forward_1.up.weight"
    edit_manifest(folder, lambda manifest: manifest["tensors"][name].update(bits=4))
    with pytest.raises(ValueError, match=r"The bits of encoder\..* must be 8; found 4\. Export the member again"):
        read_artefact(folder, 2)


@pytest.mark.parametrize("activations", [DynamicActivations(), StaticActivations()], ids=lambda way: type(way).__name__)
def test_inputs_are_rounded_alike_at_every_precision(activations, tmp_path):
    task = perturb(make_sparse_task(quantizer=Nested(), bits=(2, 4, 8), activations=activations))
    folder = write(task, "3-24-8bit", tmp_path / "member")
    assert_holds(task, {8: "3-24-8bit", 4: "3-24-4bit", 2: "3-24-2bit"}, folder)
    assert read_manifest(folder)["bytes_stored"] == task.cost(SubnetConfig.parse("3-24-8bit")).bytes_stored
