"""LibriSpeech is read as openslr.org unpacks it; another layout is told with what was expected and what lies there."""

import numpy as np
import pytest
import soundfile

from allinone.data import LibriSpeechCorpus, SpeechDataModule
from allinone.text import CharTokenizer
from tests.data.examples import frames
from tests.data.miniatures import PARTS, write_librispeech


@pytest.fixture
def top(tmp_path):
    return write_librispeech(tmp_path)


def test_each_utterance_is_a_row_with_its_text_speaker_split_and_recording(top):
    rows = LibriSpeechCorpus(str(top)).rows()
    assert len(rows) == 5 * 2 * 3
    first = rows[0]
    assert (first.id, first.split, first.speaker) == ("100-1000-0000", "train", "100")
    assert first.text == "THE OLD DOG SAYS SO"
    assert first.audio == str(top / "train-clean-100/100/1000/100-1000-0000.flac")
    assert first.recording is not None
    assert first.recording.duration == 1.6
    assert len({row.id for row in rows}) == len(rows)


def test_parts_for_training_are_one_split_and_the_others_keep_their_names(top):
    data = SpeechDataModule(LibriSpeechCorpus(str(top), PARTS), cache=None)
    report = data.prepare()
    sizes = {split: size["lines"] for split, size in report.kept.items()}
    assert sizes == {"train": 18, "dev-clean": 6, "dev-other": 6, "test-clean": 6, "test-other": 6}
    assert len(data.utterances("dev")) == 12
    assert len(data.utterances("test-other")) == 6
    assert data.texts("train")[0] == "the old dog says so"


def test_an_unknown_split_is_refused_with_those_that_there_are(top):
    data = SpeechDataModule(LibriSpeechCorpus(str(top)), cache=None)
    data.prepare()
    with pytest.raises(ValueError, match=r"split 'test-othr', found none .*test-clean 6, test-other 6\); choose one"):
        data.utterances("test-othr")


def test_recordings_are_read_where_they_are_even_with_a_cache_folder(top, tmp_path):
    data = SpeechDataModule(LibriSpeechCorpus(str(top)), cache=str(tmp_path / "cache"), batch_seconds=10, num_workers=0)
    data.prepare()
    data.check(CharTokenizer(), frames)
    assert not (tmp_path / "cache").exists()
    for batch in data.loader("test-clean"):
        for name, waveform, length in zip(batch.ids, batch.waveforms, batch.lengths, strict=True):
            (path,) = top.rglob(f"{name}.flac")
            assert np.array_equal(waveform[: int(length)].numpy(), soundfile.read(path, dtype="float32")[0])


def test_a_missing_recording_is_a_problem_of_its_row_alone(top):
    gone = top / "dev-clean/103/1001/103-1001-0002.flac"
    gone.unlink()
    data = SpeechDataModule(LibriSpeechCorpus(str(top)), cache=None, max_bad_share=0.1)
    report = data.prepare()
    (problem,) = report.problems["missing file"]
    assert problem.id == "103-1001-0002"
    assert problem.detail == f"no file {gone}"


def test_a_missing_part_is_told_with_what_is_expected_and_what_is_there(tmp_path):
    top = write_librispeech(tmp_path, ["dev-clean", "test-clean"])
    expected = (
        r"requires the folders train-clean-100, dev-clean, dev-other, test-clean, test-other, found in .*LibriSpeech: "
        r"dev-clean/, test-clean/; unpack train-clean-100, dev-other, test-other there, or correct corpus.folder"
    )
    with pytest.raises(ValueError, match=expected):
        LibriSpeechCorpus(str(top)).rows()
    with pytest.raises(ValueError, match=r"found in .*: LibriSpeech/; unpack"):
        LibriSpeechCorpus(str(tmp_path)).rows()


def test_a_missing_folder_is_told_with_its_neighbours(tmp_path):
    write_librispeech(tmp_path, ["dev-clean"])
    with pytest.raises(ValueError, match=r"requires its folder, .* at .*LibriSpech, found in .*: LibriSpeech/; unpack"):
        LibriSpeechCorpus(str(tmp_path / "LibriSpech")).rows()


def test_a_part_without_transcripts_is_told_with_what_it_holds(tmp_path):
    top = write_librispeech(tmp_path, ["dev-clean"])
    for path in top.rglob("*.trans.txt"):
        path.unlink()
    expected = r"requires transcripts .* in each part, found none in dev-clean, and in .*dev-clean: 100/; unpack dev-cl"
    with pytest.raises(ValueError, match=expected):
        LibriSpeechCorpus(str(top), ("dev-clean",)).rows()


def test_a_torn_recording_is_told_by_its_name(top):
    path = next(top.rglob("*.flac"))
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ValueError, match=rf"found: .*{path.name}.*; unpack .*tar.gz again"):
        LibriSpeechCorpus(str(top)).rows()


@pytest.mark.parametrize(("parts", "found"), [((), "none"), (("clean-100",), "clean-100")])
def test_parts_of_unknown_kind_are_refused(parts, found):
    with pytest.raises(ValueError, match=f"called train-..., dev-... or test-..., found {found}; correct corpus.parts"):
        LibriSpeechCorpus("anywhere", parts)
