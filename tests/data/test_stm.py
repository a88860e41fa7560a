"""An evaluation set is what its STM reference scores, segment by segment; another layout is told."""

import pytest
import soundfile

from allinone.data import Segment, StmSet
from tests.data.miniatures import write_call, write_evaluation


@pytest.fixture
def top(tmp_path):
    write_evaluation(tmp_path, "calls/deep", "references/all.stm", "AB", "en_4156")
    return tmp_path


SUBSETS = {"swbd": "sw_", "callhome": "en_"}


def add(top, *lines: str) -> None:
    with (top / "references/all.stm").open("a") as file:
        file.write("\n".join(lines) + "\n")


def test_each_scored_line_is_a_segment_of_its_channel_in_its_subset(top):
    rows = StmSet("calls", "references", SUBSETS).rows(top, "hub5")
    assert [row.split for row in rows] == ["test-hub5-swbd"] * 2 + ["test-hub5-callhome"] * 2
    assert [row.segment for row in rows[:2]] == [Segment(2.0, 2.5, 0), Segment(5.0, 3.25, 1)]
    assert rows[0].text == "(%HESITATION) WELL (TH-) THEN OKAY"
    assert rows[0].audio == str(top / "calls/deep/sw_4390.sph")
    assert rows[0].speaker == "sw_4390_A"
    assert rows[0].recording is rows[1].recording
    assert len({row.id for row in rows}) == 4


def test_without_subsets_the_set_is_one_split(top):
    assert {row.split for row in StmSet("calls", "references/all.stm").rows(top, "rt02")} == {"test-rt02"}


def test_a_subset_may_be_named_by_a_label(top):
    rows = StmSet("calls", "references", {"men": "M", "women": "F"}).rows(top, "rt02")
    assert [row.split for row in rows] == ["test-rt02-women", "test-rt02-men"] * 2


def test_a_line_in_no_subset_is_refused_with_its_labels(top):
    with pytest.raises(ValueError, match=r"found file en_4156 with labels \['O', 'en', 'F', 'en-F'\]; correct"):
        StmSet("calls", "references", {"swbd": "sw_"}).rows(top, "hub5")


def test_channels_may_be_numbers_and_lines_without_labels(top):
    add(top, "sw_4390 2 someone 9.00 10.50 <B_ASIDE> HELLO THERE", "sw_4390 1 inter_segment_gap 1 2 <O,a> ")
    row = StmSet("calls", "references").rows(top, "rt03")[-1]
    assert (row.segment, row.text) == (Segment(9.0, 1.5, 1), "<B_ASIDE> HELLO THERE")


def test_the_end_of_a_segment_is_that_of_its_recording_at_most(top):
    add(top, "sw_4390 A a 19.00 20.03 BYE")
    assert StmSet("calls", "references").rows(top, "rt03")[-1].segment == Segment(19.0, 1.0, 0)


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        ("sw_4390 A a 21.00 22.00 BYE", "malformed row", "21 to 20 s of channel 1 are not in the recording of 20 s"),
        ("sw_4390 C a 1.00 2.00 BYE", "malformed row", "are required, found 'C a 1.00 2.00'"),
        ("sw_4390 A a", "malformed row", "are required, found 'A a'"),
        ("sw_9999 A a 1.00 2.00 BYE", "missing file", "no sw_9999.sph, .wav or .flac below"),
        ("mono A a 1.00 2.00 BYE", None, None),
        ("mono B a 1.00 2.00 BYE", "malformed row", "1 to 2 s of channel 2 are not in the recording of 3 s and 1 cha"),
    ],
)
def test_a_line_that_cannot_be_heard_is_a_problem_of_its_row_alone(top, line, reason, detail):
    write_call(top / "calls/two.wav", (200.0, 300.0), seconds=3)
    samples, rate = soundfile.read(top / "calls/two.wav")
    soundfile.write(top / "calls/mono.flac", samples[:, 0], rate)
    add(top, line)
    row = StmSet("calls", "references").rows(top, "rt03")[-1]
    assert (row.problem[0] if row.problem else None) == reason
    assert detail is None or (row.problem and detail in row.problem[1])


def test_missing_folders_and_references_are_told_with_what_is_there(top):
    leave = "or leave the set out with corpus.rt02=null"
    with pytest.raises(ValueError, match=rf"rt02 requires its recordings at .*gone, found in .*: .*calls/.*{leave}"):
        StmSet("gone", "references").rows(top, "rt02")
    with pytest.raises(ValueError, match=rf"an STM file or a folder of them, at .*calls, found in .*deep/; .*{leave}"):
        StmSet("calls", "calls").rows(top, "rt02")
    with pytest.raises(ValueError, match=r"at .*all.stn, found in .*references: all.stm; correct"):
        StmSet("calls", "references/all.stn").rows(top, "rt02")


def test_shorten_is_told_as_such(top):
    path = top / "calls/deep/sw_4390.sph"
    header = path.read_bytes()[:1024].replace(b"-s4 ulaw", b"-s27 ulaw,embedded-shorten-v2.00")[:1024]
    path.write_bytes(header + path.read_bytes()[1024:])
    with pytest.raises(ValueError, match=r"found: .*sw_4390.sph.*; .*compressed with shorten \(recipes/switchboard/"):
        StmSet("calls", "references").rows(top, "hub5")
