"""Which layers of an attention decoder its shallow members keep."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from allinone.export import extract
from allinone.models.decoder import DecoderLayer
from allinone.quantization import Lsq
from allinone.subnet import SearchSpace, SubnetConfig
from allinone.tasks.speech import SpeechTask
from allinone.training.start import load_task, take_over_checkpoint, take_over_member
from tests.laws.examples import DECODER, learn, make_batch, make_task, perturb
from tests.training.test_start import write

ATTENTION = replace(DECODER, num_layers=4)
ENCODER = {"depths": (3,), "widths": (24,), "bits": (8, 32)}
ALONE, FAMILY = (SearchSpace(**ENCODER, decoder=SearchSpace(depths, (24,), (8, 32))) for depths in ((4,), (2, 3, 4)))
SHALLOW, WHOLE = (SubnetConfig.parse(f"3-24-32bit_{depth}-24-32bit") for depth in (3, 4))


def make(space: SearchSpace, seed: int = 0) -> SpeechTask:
    made = make_task(attention=ATTENTION, seed=seed)
    return SpeechTask(
        layout=made.layout,
        space=space,
        tokenizer=made.tokenizer,
        quantizer=Lsq(),
        features=made.features.settings,
        attention=ATTENTION,
    ).eval()


@pytest.fixture
def source() -> SpeechTask:
    """Its second layer adds the same to all frames."""
    source = perturb(make(ALONE)).eval()
    assert source.decoder is not None
    layer = source.decoder.layers[1].get_submodule("module")
    assert isinstance(layer, DecoderLayer)
    with torch.no_grad():
        for part in (layer.attention.output, layer.cross_attention.output, layer.feed_forward.down):
            part.weight.zero_()
    return source


def started(source: SpeechTask, folder: Path, way: str, space: SearchSpace = FAMILY, heard: bool = True) -> SpeechTask:
    task = make(space, seed=1)
    batches = [make_batch()] if heard else None
    if way == "checkpoint":
        take_over_checkpoint(task, write(source, folder / "source.ckpt"), batches)
    else:
        whole = source.space.largest
        take_over_member(task, extract(source, whole), source.weights(whole), source.space, "a member", batches)
    return task


@torch.no_grad()
def spelt(task: SpeechTask, member: SubnetConfig) -> Tensor:
    found = learn(task, make_batch(), member).spelt
    assert found is not None
    return found


@pytest.mark.parametrize("way", ["checkpoint", "member"])
def test_a_layer_that_adds_the_same_to_everything_is_the_first_to_go_and_is_not_missed(source, way, tmp_path, caplog):
    with caplog.at_level("INFO"):
        task = started(source, tmp_path, way)
    assert "A decoder of fewer layers keeps them in this order: 0, " in caplog.text
    assert task.decoder is not None
    assert task.decoder.ranked[0] == 0
    assert task.decoder.ranked[1] == 3
    torch.testing.assert_close(spelt(task, WHOLE), spelt(source, WHOLE), rtol=0, atol=1e-5)
    torch.testing.assert_close(spelt(task, SHALLOW), spelt(source, WHOLE), rtol=0, atol=1e-4)


def test_by_weights_alone_the_first_layers_are_kept(source, tmp_path):
    task = started(source, tmp_path, "checkpoint", heard=False)
    assert task.decoder is not None
    assert task.decoder.ranked == (0, 1, 2, 3)
    plain = extract(source, WHOLE)
    assert plain.decoder is not None
    plain.decoder.layers = plain.decoder.layers[:3]
    batch = make_batch()
    with torch.no_grad():
        heard = plain(batch.waveforms, batch.lengths)
        expected = plain.decoder(heard.encoded, heard.lengths, batch.labels)
    torch.testing.assert_close(spelt(task, SHALLOW), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("bits", [8, 32])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_an_exported_member_has_the_layers_and_says_what_the_supernet_says(source, depth, bits, tmp_path):
    task = started(source, tmp_path, "checkpoint")
    member = SubnetConfig.parse(f"3-24-{bits}bit_{depth}-24-{bits}bit")
    batch = make_batch()
    with torch.no_grad():
        plain, ours = (
            extract(task, member)(batch.waveforms, batch.lengths),
            task(batch.waveforms, batch.lengths, member),
        )
        for heard in (plain, ours):
            assert len(heard.speller.layers) == depth
            said = heard.speller(heard.encoded, heard.lengths, batch.labels)
            torch.testing.assert_close(said, spelt(task, member), rtol=0, atol=1e-5)


def test_a_shallow_member_keeps_its_layers_from_training_to_training(source, tmp_path):
    task = started(source, tmp_path, "checkpoint")
    assert task.decoder is not None
    path = write(task, tmp_path / "family.ckpt")
    again = load_task(path)[0].eval()
    assert torch.equal(spelt(again, SHALLOW), spelt(task, SHALLOW))
    fewer = SearchSpace(**ENCODER, decoder=SearchSpace((3, 4), (24,), (8, 32)))
    other = make(fewer, seed=2)
    take_over_checkpoint(other, path, [make_batch((0.3,))])
    assert other.decoder is not None
    assert other.decoder.ranked == task.decoder.ranked
    torch.testing.assert_close(spelt(other, SHALLOW), spelt(task, SHALLOW), rtol=0, atol=1e-5)


def test_an_older_state_keeps_the_first_layers(source):
    assert source.decoder is not None
    state = source.state_dict()
    source.decoder.keep(torch.tensor([0, 3, 1, 2]), torch.ones(4, 16))
    del state["decoder.ranks"], state["decoder.means"]
    source.load_state_dict(state)
    assert source.decoder.ranked == (0, 1, 2, 3)
    assert not source.decoder.get_buffer("means").any()


def test_missing_layers_teach_nothing_to_those_that_are_kept_in_their_place(source, tmp_path):
    task = started(source, tmp_path, "checkpoint")
    said = learn(task, make_batch(), SHALLOW).spelt
    assert said is not None
    said.square().sum().backward()
    assert task.decoder is not None
    trained = [any(weight.grad is not None for weight in layer.parameters()) for layer in task.decoder.layers]
    assert trained == [rank < 3 for rank in task.decoder.ranked]
