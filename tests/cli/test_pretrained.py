"""A supernet out of a Hugging Face directory through the verbs: listed, trained, and refused where it does not fit."""

import json
import re
from pathlib import Path

import pytest
import torch

from allinone.text import CharTokenizer
from tests.cli.conftest import TRAIN, Call
from tests.published import SYMBOLS, make_published, make_whisper, save_published

ELASTIC = ("space.depths=[1,2]", "space.widths=[24,48]", "space.bits=[4,32]")


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    return save_published(make_published("wav2vec2 base"), tmp_path_factory.mktemp("published"))


def train(call: Call, corpus: Path, init: object, *arguments: str) -> tuple[int, str]:
    said = call(
        *TRAIN,
        "network=pretrained",
        "features=pretrained",
        f"init={init}",
        f"data.corpus.table={corpus}",
        f"data.cache={corpus.parent / 'cache'}",
        "trainer.max_steps=1",
        *ELASTIC,
        *arguments,
    )
    return said.code, said.err


def tokens(folder: Path) -> list[str]:
    """The labels of the run below a folder."""
    (checkpoint,) = folder.rglob("model.ckpt")
    about = torch.load(checkpoint, weights_only=True)["allinone"]
    return list(about["tokenizer"]["symbols"])


def test_members_of_a_pretrained_encoder_are_listed_before_any_training(call, directory):
    said = call("subnets", "network=pretrained", f"network.folder={directory}", *ELASTIC, "format=json")
    assert said.code == 0
    assert "1-24-4bit" in said.out


def test_a_training_starts_from_a_directory_with_its_labels(call, corpus, directory, here):
    code, err = train(call, corpus, directory)
    assert code == 0, err
    assert f"Took over the weights of {directory}." in err
    assert tokens(here) == list(SYMBOLS)


def test_without_an_output_the_labels_are_those_of_the_tokenizer(call, corpus, directory, here):
    folder = here / "encoder"
    save_published(make_published("wav2vec2 base").wav2vec2, folder)
    code, err = train(call, corpus, folder, "sampler=fixed", "sampler.subnet=2-48-32bit")
    assert code == 0, err
    assert f"Took over the weights of {folder}; the CTC output begins anew." in err
    assert tokens(here) == list(CharTokenizer().symbols)


def test_labels_that_do_not_cover_the_transcripts_are_refused_with_the_characters(call, corpus, directory, here):
    folder = here / "digits"
    save_published(make_published("wav2vec2 base"), folder, ("<pad>", *map(chr, range(0x391, 0x391 + 31))))
    code, err = train(call, corpus, folder)
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
    code, err = train(call, corpus, directory, *overrides)
    assert code == 1
    assert message in err


def test_whisper_needs_its_own_features(call, corpus, here):
    make_whisper().save_pretrained(here / "whisper")
    (here / "whisper" / "preprocessor_config.json").write_text(json.dumps({"feature_size": 80}))
    code, err = train(call, corpus, here / "whisper", "features=waveform")
    assert code == 1
    assert "Give features=whisper_log_mel features.bands=80." in err


def test_a_directory_that_is_none_of_both_is_refused(call, corpus, directory, here):
    code, err = train(call, corpus, here, f"network.folder={directory}", f"features.folder={directory}")
    assert code == 1
    assert "Training starts from a directory with a config.json" in err
