"""A recording that breaks while a training runs is left out with one warning, and the training goes on."""

import logging
from itertools import islice

import pytest
from lhotse import MonoCut

from allinone.data import SpeechDataModule, TableCorpus, dataset, write_synthetic_corpus
from allinone.text import CharTokenizer
from tests.data.examples import frames


@pytest.fixture
def data(tmp_path) -> SpeechDataModule:
    """A corpus of which only this test's copy is broken."""
    data = SpeechDataModule(
        TableCorpus(str(write_synthetic_corpus(tmp_path, utterances=20))),
        batch_seconds=8.0,
        num_workers=0,
        cache=str(tmp_path / "cache"),
    )
    data.prepare()
    data.check(CharTokenizer(), frames)
    return data


def path_of(data: SpeechDataModule, index: int) -> str:
    cut = data.cuts["train"][index]
    assert isinstance(cut, MonoCut)
    assert cut.recording is not None
    return str(cut.recording.sources[0].source)


@pytest.mark.parametrize("damage", [b"", b"RIFF and nothing more"])
def test_a_broken_recording_is_left_out_with_one_warning(data, caplog, damage):
    broken = data.cuts["train"][3]
    with open(path_of(data, 3), "wb") as file:
        file.write(damage)
    with caplog.at_level(logging.WARNING, "allinone"):
        batches = list(islice(data.train_dataloader(), 12))
    names = [name for batch in batches for name in batch.ids]
    assert set(names) == {cut.id for cut in data.cuts["train"]} - {broken.id}
    assert max(names.count(name) for name in names) > 1, "the test is to see a second epoch"
    warnings = [record.getMessage() for record in caplog.records if record.name.startswith("allinone")]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"audio of '{broken.id}' must stay readable during training, found:")
    assert warnings[0].endswith("; the utterance is left out of its batches")


def test_a_batch_of_which_nothing_can_be_read_is_silence_without_text(data):
    for index in range(len(data.cuts["train"])):
        with open(path_of(data, index), "wb"):
            pass
    batch = next(iter(data.train_dataloader()))
    assert batch.ids == ("",)
    assert batch.waveforms.shape == (1, 16000)
    assert batch.label_lengths.tolist() == [0]


def test_too_many_broken_recordings_stop_the_training(data, monkeypatch):
    monkeypatch.setattr(dataset, "_MAX_BROKEN", 3)
    for index in range(len(data.cuts["train"])):
        with open(path_of(data, index), "wb"):
            pass
    with pytest.raises(ValueError, match=r"requires its prepared audio to stay, found 4 recordings gone .*; bring"):
        list(islice(data.train_dataloader(), 4))
