"""Laws of reading: every kind of damage is refused with its own text, and nothing is ever unpickled."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from allinone.export import read_artefact
from allinone.export.manifest import is_exported_member
from tests.export.families import edit_manifest, write

AGAIN = r"Export the member again, or copy the whole folder again\."

NO_SUCH_KIND = r"found a description that does not serve \(A description must be of a kind"


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("export") / "member")


@pytest.fixture
def folder(written, tmp_path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "member"))


def refuses(folder: Path, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_artefact(folder)


def test_a_missing_folder_is_refused(tmp_path):
    refuses(
        tmp_path / "none",
        r"An exported member is a folder with a manifest\.json; found no such folder at .*none\. Name a folder that",
    )


def test_a_foreign_folder_is_refused(tmp_path):
    refuses(tmp_path, r"is a folder with a manifest\.json; found an empty folder at .*\. Name a folder that")
    (tmp_path / "notes.txt").write_text("mine")
    refuses(tmp_path, r"is a folder with a manifest\.json; found notes\.txt at .*\. Name a folder that")
    (tmp_path / "manifest.json").write_text(json.dumps({"name": "an app"}))
    refuses(tmp_path, r"must be the manifest of a member that allinone exported .*; found format None\. Name a folder")


def test_a_newer_format_is_refused(folder):
    edit_manifest(folder, lambda manifest: manifest.update(format_version=2, versions={"allinone": "9.0"}))
    refuses(
        folder, r"reads members of format version 1; found version 2 in .*\. Install the allinone that wrote it \(.*9"
    )


@pytest.mark.parametrize("name", ["model.safetensors", "tokens.txt", "README.md"])
def test_a_missing_file_is_refused(name, folder):
    (folder / name).unlink()
    refuses(folder, rf"The exported member needs the file {name}; found none in .*\. {AGAIN}")


def test_a_torn_file_is_refused(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    refuses(folder, rf"model\.safetensors must have \d+ bytes; found \d+\. {AGAIN}")


def test_a_single_wrong_bit_is_refused(folder):
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    refuses(
        folder, rf"model\.safetensors must have the sha256 \w+; found \w+: it was changed after the export\. {AGAIN}"
    )


def test_edited_tokens_are_refused(folder):
    file = folder / "tokens.txt"
    file.write_text(file.read_text().replace("a 3", "b 3"))
    refuses(folder, rf"tokens\.txt must have the sha256 .*changed after the export\. {AGAIN}")
    edit_manifest(folder, lambda manifest: None)
    refuses(folder, rf"tokens\.txt must list the 29 tokens of the network; found others\. {AGAIN}")


def test_a_torn_manifest_is_refused(folder):
    file = folder / "manifest.json"
    file.write_bytes(file.read_bytes()[:-10])
    refuses(folder, rf"manifest\.json must be a JSON document; found a damaged one \(.*\)\. {AGAIN}")
    file.write_bytes(b"\xff\xfe\x00")
    refuses(folder, r"manifest\.json must be a JSON document; found a damaged one")
    file.write_text("[]")
    refuses(folder, rf"manifest\.json must hold a JSON object; found list\. {AGAIN}")


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda manifest: manifest.pop("member"), "member"),
        (lambda manifest: manifest.update(colour="red"), "colour"),
        (lambda manifest: manifest.update(bytes_stored="many"), "bytes_stored"),
        (lambda manifest: manifest.update(results=[1]), "results"),
        (lambda manifest: manifest.update(tensors={"head.bias": "plain"}), "tensors"),
        (lambda manifest: manifest.update(network=None), "network"),
    ],
    ids=["missing", "unknown", "type", "results", "table", "none"],
)
def test_other_fields_in_the_manifest_are_refused(change, wrong, folder):
    edit_manifest(folder, change)
    refuses(
        folder, rf"manifest\.json must have the fields member, .*; found {wrong} missing, unknown or of a wrong type"
    )


def test_a_manifest_without_hashes_is_refused(folder):
    edit_manifest(folder, lambda manifest: manifest["files"].pop("model.safetensors"))
    refuses(folder, rf"must list the hash of model\.safetensors; found none\. {AGAIN}")


def test_files_outside_the_folder_are_never_read(folder):
    edit_manifest(folder, lambda manifest: manifest["files"].update({"../secret": {"bytes": 1, "sha256": ""}}))
    refuses(folder, rf"A manifest names files of its own folder; found '\.\./secret' in .*\. {AGAIN}")


def test_shapes_that_do_not_fit_are_refused(folder):
    edit_manifest(folder, lambda manifest: manifest.update(member="2-48-4bit"))
    refuses(folder, rf"The network of 2-48-4bit needs .*\.weight of shape \(\d+, \d+\); found \(\d+, \d+\)\. {AGAIN}")
    edit_manifest(folder, lambda manifest: manifest.update(member="3-32-4bit"))
    refuses(folder, rf"The network of 3-32-4bit needs encoder\.layers\.2\..*; found none\. {AGAIN}")
    edit_manifest(folder, lambda manifest: manifest.update(member="1-32-4bit"))
    refuses(folder, rf"The network of 1-32-4bit needs encoder\.layers\.1\..* of shape none; found .*\. {AGAIN}")


@pytest.mark.parametrize(
    ("part", "description", "message"),
    [
        pytest.param(part, description, message, id=f"{name}-{part}")
        for name, description, message in (
            ("none", None, "found another kind of value as "),
            ("other", {"kind": "PerTensor"}, "found another kind of value as "),
            ("unknown", {"kind": "Nonsense"}, NO_SUCH_KIND),
            ("incomplete", {"kind": "ConformerLayout"}, NO_SUCH_KIND),
        )
        for part in ("layout", "attention", "activations", "features", "tokenizer")
        if name != "none" or part not in ("attention", "activations")  # which a network may lack
    ]
    + [pytest.param("ctc", value, "found another kind of value as ctc", id=f"ctc {value}") for value in (None, 1, "no")]
    + [pytest.param("ctc", False, "found another kind of value as ctc", id="no output")],
)
def test_a_description_of_no_network_is_refused(part, description, message, folder):
    edit_manifest(folder, lambda manifest: manifest["network"].update({part: description}))
    parts = "layout, attention, ctc, activations, features, tokenizer, space"
    refuses(folder, rf"must describe {parts} of the network; {message}.*\. {AGAIN}")


def test_a_table_of_other_weights_is_refused(folder):
    edit_manifest(folder, lambda manifest: manifest["tensors"].pop("head.bias"))
    refuses(folder, r"The weights must be exactly those of the table; found more of them in the file\. Export")


def test_a_name_of_no_member_is_refused(folder):
    edit_manifest(folder, lambda manifest: manifest.update(member="small"))
    refuses(folder, r"The name of a sub-network is depth-width-bits, .*; found 'small'\. Write it")


def test_a_copy_reads_like_the_original(folder, written):
    assert read_artefact(folder).manifest == read_artefact(written).manifest


def test_only_a_folder_of_an_export_and_nothing_else_counts_as_an_export(folder):
    (folder / "tokens.txt").unlink()
    assert is_exported_member(folder)  # a damaged one may be replaced
    (folder / "notes.txt").touch()
    assert not is_exported_member(folder)
    assert not is_exported_member(folder / "none")


def test_other_bytes_than_the_manifest_says_are_refused(folder):
    file = folder / "model.safetensors"
    tensors = load_file(file)
    save_file(tensors | {"floats": torch.cat([tensors["floats"], torch.zeros(1)])}, file)
    edit_manifest(folder, lambda manifest: None)
    refuses(folder, rf"model\.safetensors must hold \d+ bytes of tensors, as manifest\.json says; found \d+\. {AGAIN}")


class Explosive:
    def __reduce__(self):
        return pytest.fail, ("something was unpickled",)


def test_a_pickle_is_refused_and_never_opened(folder):
    (folder / "model.safetensors").write_bytes(pickle.dumps(Explosive()))
    edit_manifest(folder, lambda manifest: None)
    refuses(folder, rf"model\.safetensors must be a safetensors file; found one that cannot be read \(.*\)\. {AGAIN}")
