"""Recordings at 8 kHz for networks of 16 kHz: resampled wherever they come in, and every verb says so once."""

import json
from pathlib import Path

import pytest

from allinone.data import write_synthetic_corpus
from tests.cli.conftest import TRAIN, Call
from tests.published import make_published, make_whisper, save_published

PRETRAINED = ("network=pretrained", "features=pretrained", "space.depths=[1,2]", "space.widths=[24,48]")


@pytest.fixture(scope="module")
def telephone(tmp_path_factory) -> Path:
    """The table of a corpus at 8 kHz."""
    return write_synthetic_corpus(tmp_path_factory.mktemp("telephone"), utterances=40, sample_rate=8_000)


def waveform(folder: Path) -> list[str]:
    return [*PRETRAINED, f"init={save_published(make_published('wav2vec2 base'), folder)}"]


def whisper(folder: Path) -> list[str]:
    make_whisper().save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": 80}))
    return [*PRETRAINED, f"init={folder}"]


def log_mel(folder: Path) -> list[str]:
    return ["trainer.validate_every_steps=2"]


def train(call: Call, table: Path, cache: object, *arguments: str) -> tuple[int, str]:
    said = call(*TRAIN, "trainer.max_steps=2", f"data.corpus.table={table}", f"data.cache={cache}", *arguments)
    return said.code, said.err


@pytest.mark.parametrize(("network", "cached"), [(log_mel, True), (log_mel, False), (waveform, True), (whisper, True)])
def test_a_corpus_is_resampled_and_training_evaluation_and_transcription_say_so_once(
    call, here, telephone, network, cached
):
    cache = here / "cache" if cached else "null"
    code, err = train(call, telephone, cache, "data.num_workers=2", *network(here / "pretrained"))
    assert code == 0, err
    assert err.count("resampled to ") == err.count("resampled to 16000 Hz: 40 from 8000 Hz") == 1
    (checkpoint,) = here.rglob("model.ckpt")
    assert (checkpoint.parents[1] / "log.txt").read_text().count("resampled to ") == 1
    said = call("evaluate", f"checkpoint={checkpoint}", "subnets=smallest")
    assert said.code == 0, said.err
    assert said.err.count("resampled to ") == said.err.count("resampled to 16000 Hz: 40 from 8000 Hz") == 1
    assert call("export", f"checkpoint={checkpoint}", "subnet=smallest", "output=small").code == 0
    recordings = sorted((telephone.parent / "audio").glob("*.wav"))[:3]
    said = call("transcribe", "model=small", "--", *recordings)
    assert said.code == 0, said.err
    assert said.err == "Resampled to 16000 Hz, the rate of the network: 3 from 8000 Hz.\n"
    assert len(said.out.splitlines()) == 3


def test_recordings_of_several_rates_are_told_together(call, here, exported, telephone, corpus):
    recordings = [next((table.parent / "audio").glob("*.wav")) for table in (telephone, corpus)]
    higher = next((write_synthetic_corpus(here, 10, sample_rate=44_100).parent / "audio").glob("*.wav"))
    said = call("transcribe", f"model={exported}", "format=json", "--", *recordings, higher, "gone.wav")
    assert said.code == 1
    assert said.err.count("Resampled to 16000 Hz, the rate of the network: 1 from 8000 Hz, 1 from 44100 Hz.") == 1
    assert len(json.loads(said.out)) == 3


def test_features_of_another_rate_than_the_data_have_are_refused(call, here, telephone):
    code, err = train(call, telephone, here / "cache", "features.sample_rate=8000")
    assert code == 1
    assert "requires features of waveforms at 16000 Hz" in err
    assert "found 8000 Hz. Leave features.sample_rate as it was." in err
