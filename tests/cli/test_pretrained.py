"""A supernet out of a Hugging Face directory through the verbs: listed, trained, and refused where it does not fit."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from transformers import AutoModelForCTC

from allinone.cli.labels import known_labels
from allinone.text import CharTokenizer
from tests.cli.conftest import TRAIN, Call, Trained, train
from tests.published import SYMBOLS, make_published, make_whisper, save_published

ELASTIC = ("space.depths=[1,2]", "space.widths=[24,48]", "space.bits=[4,32]")


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    return save_published(make_published("wav2vec2 base"), tmp_path_factory.mktemp("published"))


START = ("network=pretrained", "features=pretrained", "trainer.max_steps=1", *ELASTIC)


@pytest.fixture(scope="module")
def started(tmp_path_factory, corpus, directory) -> Trained:
    """A run that started from the directory."""
    return train(tmp_path_factory.mktemp("started"), corpus, *START, f"init={directory}", "first_losses=3")


def try_to_train(call: Call, corpus: Path, init: object, *arguments: str) -> tuple[int, str]:
    data = f"data.corpus.table={corpus}", f"data.cache={corpus.parent / 'cache'}"
    said = call(*TRAIN, *START, f"init={init}", *data, *arguments)
    return said.code, said.err


def symbols(checkpoint: Path) -> list[str]:
    """The labels of a checkpoint."""
    about = torch.load(checkpoint, weights_only=True)["allinone"]
    return list(about["tokenizer"]["symbols"])


def test_an_experiment_that_needs_weights_does_not_start_from_random_ones(call, here):
    said = call("train", "experiment=librispeech_wav2vec2", "data.corpus.folder=nowhere")
    assert said.code != 0
    assert "requires the weights that its training starts from; found none named. Add init=DIR" in said.err


def test_members_of_a_pretrained_encoder_are_listed_before_any_training(call, directory):
    said = call("subnets", "network=pretrained", f"network.folder={directory}", *ELASTIC, "format=json")
    assert said.code == 0
    assert "1-24-4bit" in said.out


@pytest.mark.parametrize("tokenizer", ["tokenizer=char", "tokenizer=pretrained"])
def test_sizes_before_any_training_are_those_after_it(call, here, started, directory, tokenizer):
    vocabulary = json.loads((directory / "vocab.json").read_text())
    folder = shutil.copytree(directory, here / "published")
    more = vocabulary | {"[EXTRA]": len(vocabulary)}  # of which the output has no row
    (folder / "vocab.json").write_text(json.dumps(more))
    listed = call("subnets", f"init={folder}", "network=pretrained", tokenizer, *ELASTIC, "format=json")
    assert listed.code == 0, listed.err
    evaluated = call("evaluate", f"checkpoint={started.checkpoint}", "format=json")
    sizes = ("name", "parameters", "bytes", "ratio", "bytes_stored", "system_ratio")
    found, expected = (
        [{size: row[size] for size in sizes} for row in json.loads(said.out)] for said in (listed, evaluated)
    )
    assert found == expected


def test_labels_are_those_that_a_training_would_have(directory, started, corpus):
    settings = {"tokenizer": {"_target_": "allinone.text.CharTokenizer"}, "ctc": True, "attention": None}
    for init, symbols in (
        (directory, SYMBOLS),
        (started.checkpoint, SYMBOLS),
        (directory / "not there yet", CharTokenizer().symbols),
        (None, CharTokenizer().symbols),
    ):
        labels: Any = known_labels(OmegaConf.create({"init": init and str(init), **settings}))
        assert labels.symbols == symbols
    spelling = {**settings, "ctc": False, "attention": {}}  # no output of theirs is left
    labels = known_labels(OmegaConf.create({"init": str(started.checkpoint), **spelling}))
    assert isinstance(labels, CharTokenizer)
    assert labels.symbols == CharTokenizer().symbols
    learnt = {"_target_": "allinone.text.CharTokenizer.train", "_partial_": True}
    assert known_labels(OmegaConf.create({"init": None, "tokenizer": learnt})) is None


def test_a_training_starts_from_a_directory_with_its_labels(directory, started):
    assert f"Took over the weights of {directory}.\n" in (started.folder / "log.txt").read_text()
    assert symbols(started.checkpoint) == list(SYMBOLS)


def test_losses_of_less_than_no_utterance_are_refused(call, here, corpus, directory):
    code, said = try_to_train(call, corpus, directory, "first_losses=-1")
    assert code == 1
    assert "first_losses requires 0 or more utterances; found -1. Give 0 for none." in said


def test_the_loss_of_each_member_is_told_before_training(call, started):
    losses = json.loads((started.folder / "first_losses.json").read_text())
    listed = call("evaluate", f"checkpoint={started.checkpoint}", "format=json")
    assert list(losses) == [row["name"] for row in json.loads(listed.out)]
    for name, loss in losses.items():
        assert (
            f"Loss before training, 3 utterances of dev: {name} {loss:.2f}" in (started.folder / "log.txt").read_text()
        )


def test_a_member_goes_back_into_a_directory_that_transformers_opens(call, started, here):
    arguments = f"checkpoint={started.checkpoint}", "subnet=smallest", "output=small", "format=huggingface"
    said = call("export", *arguments)
    assert said.code == 0, said.err
    assert "MB of weights in float32, which transformers opens; its outputs are the supernet's." in said.err
    model = AutoModelForCTC.from_pretrained(here / "small")
    assert (model.config.num_hidden_layers, model.config.intermediate_size) == (1, 24)
    assert call("export", *arguments).code == 1
    assert call("export", *arguments, "overwrite=true").code == 0


def test_other_formats_are_refused(call, started, here):
    said = call("export", f"checkpoint={started.checkpoint}", "subnet=smallest", "output=small", "format=onnx")
    assert said.code == 1
    assert "format must be one of allinone, huggingface; found 'onnx'. Choose one of these." in said.err


def test_a_member_is_heard_in_our_own_format_too(call, started, corpus, here):
    said = call("export", f"checkpoint={started.checkpoint}", "subnet=1-24-4bit", "output=small")
    assert said.code == 0, said.err
    recording = next(corpus.parent.rglob("*.wav"))
    assert call("transcribe", "model=small", f"audio={recording}").code == 0


def test_without_an_output_the_labels_are_those_of_the_tokenizer(call, corpus, directory, here):
    folder = here / "encoder"
    save_published(make_published("wav2vec2 base").wav2vec2, folder)
    code, err = try_to_train(call, corpus, folder, "sampler=fixed", "sampler.subnet=2-48-32bit")
    assert code == 0, err
    (checkpoint,) = here.rglob("model.ckpt")
    assert f"Took over the weights of {folder}; the CTC output begins anew." in err
    assert symbols(checkpoint) == list(CharTokenizer().symbols)


def test_labels_that_do_not_cover_the_transcripts_are_refused_with_the_characters(call, corpus, directory, here):
    folder = here / "digits"
    save_published(make_published("wav2vec2 base"), folder, ("<pad>", *map(chr, range(0x391, 0x391 + 31))))
    code, err = try_to_train(call, corpus, folder)
    assert code == 1
    assert re.search(r"found 100\.0%; the network has no labels for '[a-z ]' \(in \d+\), ", err)
    assert (
        "choose labels that cover the transcripts (tokenizer=...; an output that is taken over brings its own)" in err
    )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["features=log_mel"], "requires raw audio as features; found LogMelSettings"),
        (["features=waveform", "features.normalise=false"], "requires the features that it was trained with"),
        (["network=conformer_tiny", "features=log_mel"], "requires a network of its kind; found ConformerLayout."),
        (["network.folder=nowhere"], "needs a config.json; found no such directory at nowhere"),
        (["space.widths=[96]"], "search space must fit into the network of 2 layers and width 48"),
    ],
)
def test_what_does_not_fit_the_directory_is_refused(call, corpus, directory, here, overrides, message):
    code, err = try_to_train(call, corpus, directory, *overrides)
    assert code == 1
    assert message in err


def test_whisper_needs_its_own_features(call, corpus, here):
    make_whisper().save_pretrained(here / "whisper")
    (here / "whisper" / "preprocessor_config.json").write_text(json.dumps({"feature_size": 80}))
    code, err = try_to_train(call, corpus, here / "whisper", "features=waveform")
    assert code == 1
    assert "Give features=whisper_log_mel features.bands=80." in err


def test_a_directory_that_is_none_of_both_is_refused(call, corpus, directory, here):
    code, err = try_to_train(call, corpus, here, f"network.folder={directory}", f"features.folder={directory}")
    assert code == 1
    assert "Training starts from a directory with a config.json" in err
