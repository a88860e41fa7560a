"""Exports of members that round inputs: what is read computes the same bit for bit, and what cannot have it refuses."""

from pathlib import Path

import pytest
import torch

import allinone
from allinone.export import write_artefact
from allinone.export.artefact import read_artefact
from allinone.export.huggingface import write_huggingface
from allinone.models import DecoderLayout
from allinone.quantization import AbsMax, Activations, DynamicActivations, StaticActivations
from allinone.subnet import SearchSpace, SubnetConfig
from allinone.tasks.speech import SpeechTask
from tests.export.families import edit_manifest, read_manifest
from tests.laws.examples import make_batch, make_task, perturb
from tests.laws.transformers import LAYOUTS, make_transformer

DECODER = DecoderLayout(num_layers=2, ffn_dim=24, num_heads=2, dropout=0.0, tied=True)
MEMBER = SubnetConfig.parse("1-24-3bit+1-12-8bit+1-24-32bit_2-12-4bit")
WAYS = {"dynamic": DynamicActivations(), "static": StaticActivations()}
ways = pytest.mark.parametrize("activations", WAYS.values(), ids=WAYS)


def make(activations: Activations | None) -> SpeechTask:
    spelling = SearchSpace((1, 2), (12, 24), (4, 32))
    kind = {"attention": DECODER, "decoder": spelling, "front_end_bits": 8}
    return perturb(make_task(layerwise=True, quantizer=AbsMax(), activations=activations, **kind)).eval()


def scales(folder: Path) -> dict[str, torch.Tensor]:
    """Those of inputs, as the artefact holds them."""
    weights = read_artefact(folder).weights.items()
    return {name: scale for name, scale in weights if isinstance(scale, torch.Tensor) and "rounding" in name}


@ways
@torch.no_grad()
def test_what_is_read_computes_what_the_supernet_evaluates_and_is_as_large_as_the_cost_counts(activations, tmp_path):
    task, batch = make(activations), make_batch((0.9, 0.4))
    folder = write_artefact(task, MEMBER, tmp_path / "member")
    recogniser = allinone.load(folder)
    required = task(batch.waveforms, batch.lengths, MEMBER)
    found = recogniser.network(batch.waveforms, batch.lengths)
    assert torch.equal(found.log_probs, required.log_probs)
    said = [each.speller(each.encoded, each.lengths, batch.labels) for each in (required, found)]
    assert torch.equal(*said)
    plain = make(None)(batch.waveforms, batch.lengths, MEMBER)
    assert not torch.equal(plain.log_probs, required.log_probs)
    # the front end, 10 maps of each of two layers, 10 of each of two of the decoder, and its output
    assert len(scales(folder)) == 1 + 2 * 10 + 2 * 10 + 1
    each = 4 if isinstance(activations, StaticActivations) else 0
    more = task.cost(MEMBER).bytes_stored - make(None).cost(MEMBER).bytes_stored
    assert more == sum(4 * scale.numel() for scale in scales(folder).values()) == each * len(scales(folder))
    assert read_manifest(folder)["network"]["activations"] == {"kind": type(activations).__name__}
    assert "rounded to 8 bits" in (folder / "README.md").read_text()


@torch.no_grad()
def test_an_export_that_does_not_speak_of_inputs_rounds_none(tmp_path):
    task, batch = make(None), make_batch()
    folder = write_artefact(task, MEMBER, tmp_path / "member")
    assert "rounded to 8 bits" not in (folder / "README.md").read_text()
    edit_manifest(folder, lambda content: content["network"].pop("activations"))
    found = read_artefact(folder).network(batch.waveforms, batch.lengths)
    assert torch.equal(found.log_probs, task(batch.waveforms, batch.lengths, MEMBER).log_probs)


def test_a_manifest_that_leaves_the_rounding_out_does_not_serve(tmp_path):
    folder = write_artefact(make(StaticActivations()), MEMBER, tmp_path / "member")
    edit_manifest(folder, lambda content: content["network"].update(activations=None))
    with pytest.raises(ValueError, match=r"needs .*rounding\.scale of shape none; found \(\)\. Export"):
        read_artefact(folder)


def test_scales_that_were_never_heard_are_not_exported(tmp_path):
    task = make(StaticActivations())
    with torch.no_grad():
        next(iter(task.encoder.front_end.inputs.log_scales.values())).fill_(torch.nan)
    with pytest.raises(ValueError, match=r"must be finite; found NaN or infinity in encoder\.front_end\.linear\.round"):
        write_artefact(task, MEMBER, tmp_path / "member")


@ways
def test_a_hugging_face_directory_cannot_round_inputs_and_says_so(activations, tmp_path):
    task = make_transformer(LAYOUTS["wav2vec2"], AbsMax(), activations=activations).eval()
    required = r"requires a member whose linear maps take inputs as they are; found 2-12-4bit-h2, .*\. Export it with"
    with pytest.raises(ValueError, match=required):
        write_huggingface(task, SubnetConfig.parse("2-12-4bit-h2"), tmp_path / "member")
    assert not (tmp_path / "member").exists()
