"""Switchboard's segments are read from its conversations, resumably and at every speed; another layout is told."""

import shutil
from itertools import islice

import numpy as np
import pytest
import torch

from allinone.data import SpeechDataModule, StmSet, SwitchboardCorpus
from allinone.data.audio import read_mono
from allinone.data.dataset import load
from allinone.text import CharTokenizer, SwitchboardNormalizer
from tests.data.examples import frames, tone
from tests.data.miniatures import write_call, write_switchboard


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    return write_switchboard(tmp_path_factory.mktemp("ldc"), conversations=8)


@pytest.fixture
def top(packages, tmp_path):
    """A copy to break."""
    return shutil.copytree(packages, tmp_path / "ldc")


def make_data(folder, **settings) -> SpeechDataModule:
    hub5 = StmSet("LDC2002S09", "LDC2002T43", {"swbd": "sw_", "callhome": "en_"})
    corpus = SwitchboardCorpus(str(folder), hub5=hub5, dev_utterances=5)
    settings = {"cache": None, "max_bad_share": 0.5, "batch_seconds": 12, "num_workers": 0} | settings
    data = SpeechDataModule(corpus, SwitchboardNormalizer(), **settings)
    data.prepare()
    data.check(CharTokenizer(), frames)
    return data


def test_segments_with_speech_are_rows_of_their_side_and_the_first_are_dev(packages):
    rows = SwitchboardCorpus(str(packages), dev_utterances=4).rows()
    assert len(rows) == 8 * 2 * 3
    assert [row.split for row in rows] == ["dev"] * 4 + ["train"] * 44
    assert {row.text for row in rows if row.id.endswith("-0002")} == {
        "um-hum i [laughter-think] th[is]- so",
        "uh [it'n/isn't] them_1 yuppies",
    }
    assert (rows[3].id, rows[3].speaker) == ("sw2001B-ms98-a-0002", "sw02001B")
    assert rows[3].segment is not None
    assert (rows[3].segment.start, rows[3].segment.duration, rows[3].segment.channel) == (3.25, 2.75, 1)


def test_a_transcript_stays_in_training_as_often_as_allowed(packages):
    rows = SwitchboardCorpus(str(packages), dev_utterances=1, max_repeats=2).rows()
    train = [row.text for row in rows if row.split == "train"]
    assert max(train.count(text) for text in train) == 2
    assert train.count("uh") == 2


def test_counts_must_be_positive():
    with pytest.raises(ValueError, match=r"at least 1 for dev_utterances and max_repeats, found 0 and 300; give pos"):
        SwitchboardCorpus("anywhere", dev_utterances=0)
    with pytest.raises(ValueError, match=r"at least 1 for dev_utterances and max_repeats, found 4000 and -1; give pos"):
        SwitchboardCorpus("anywhere", max_repeats=-1)


def test_evaluation_sets_have_names_and_a_split_of_all(packages):
    data = make_data(packages)
    assert {cut.id for cut in data.utterances("test-hub5-swbd")} == {"hub5-sw_4390-00000", "hub5-sw_4390-00001"}
    assert len(data.utterances("test")) == len(data.utterances("test-hub5")) == 4
    assert data.texts("test-hub5-swbd") == ["well then okay", "mhm they'll so"]


def test_a_segment_read_from_its_place_is_that_stretch_of_its_channel_at_16_khz(top):
    write_call(top / "LDC97S62/swb1_d1/data/sw02003.sph", (250.0, 700.0))
    cuts = {cut.id: cut for cut in make_data(top).utterances("train")}
    for side, pitch in (("A", 250.0), ("B", 700.0)):
        found = load(cuts[f"sw2003{side}-ms98-a-0002"])
        expected = tone(20.0, 16_000, pitch)[round(3.25 * 16_000) : 6 * 16_000]
        assert len(found) == len(expected) == 44_000
        assert np.abs(found[400:-400] - expected[400:-400]).max() < 0.02  # mu-law has 14 bits at best
        mixed, _ = read_mono(top / "LDC97S62/swb1_d1/data/sw02003.sph")
        assert np.abs(found[400:-400] - mixed[round(3.25 * 16_000) :][400:43_600]).max() > 0.1


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_a_segment_at_another_speed_is_the_same_stretch(packages, factor):
    cut = make_data(packages).utterances("train")[2]
    plain, perturbed = load(cut), load(cut.perturb_speed(factor))
    assert len(perturbed) == pytest.approx(len(plain) / factor, abs=1)
    peaks = [np.abs(np.fft.rfft(x)).argmax() * 16_000 / len(x) for x in (plain, perturbed)]
    assert peaks[1] == pytest.approx(peaks[0] * factor, rel=0.01)


@pytest.mark.parametrize("workers", [0, 2])
def test_training_on_segments_resumes_with_the_same_batches(packages, workers):
    whole = make_data(packages, num_workers=workers)
    batches = list(islice(whole.train_dataloader(), 12))
    resumed = make_data(packages, num_workers=workers)
    resumed.resume(whole.state(7))
    for before, after in zip(batches[7:], islice(resumed.train_dataloader(), 5), strict=True):
        assert before.ids == after.ids
        assert torch.equal(before.waveforms, after.waveforms)


def test_a_conversation_without_its_recording_is_one_problem(top):
    (top / "LDC97S62/swb1_d1/data/sw02004.sph").unlink()
    report = make_data(top).report
    assert report is not None
    (problem,) = report.problems["missing file"]
    assert (problem.id, problem.detail) == ("sw2004", f"no sw02004.sph below {top / 'LDC97S62'}")


def test_another_layout_is_told_with_what_is_expected_and_what_is_there(top):
    corpus = SwitchboardCorpus(str(top))
    for path in (top / "swb_ms98_transcriptions").rglob("sw2005B*"):
        path.unlink()
    with pytest.raises(ValueError, match=r"sw<number>A-ms98-a-trans.text .*found 8 recordings .*sw2005; unpack both"):
        corpus.rows()
    shutil.rmtree(top / "LDC97S62/swb1_d1")
    with pytest.raises(ValueError, match=r"found 0 recordings in .*LDC97S62: nothing; 15 transcripts .*: 20/; .*none;"):
        corpus.rows()
    shutil.rmtree(top / "LDC97S62")
    with pytest.raises(ValueError, match=r"recordings of LDC97S62 at .*LDC97S62, found in .*: LDC2002S09/, .*; unpack"):
        corpus.rows()


def test_shorten_is_told_as_such(top):
    path = top / "LDC97S62/swb1_d1/data/sw02001.sph"
    header = path.read_bytes()[:1024].replace(b"-s4 ulaw", b"-s27 ulaw,embedded-shorten-v2.00")[:1024]
    path.write_bytes(header + path.read_bytes()[1024:])
    with pytest.raises(ValueError, match=r"found: .*sw02001.sph.*; .*compressed with shorten \(recipes/switchboard/"):
        SwitchboardCorpus(str(top)).rows()
