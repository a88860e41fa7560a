"""CTC needs a frame for every label and one more between equal neighbours; an attention decoder needs places."""

import pytest
from lhotse.testing.dummies import dummy_recording

from allinone.data.corpora import Row
from allinone.data.cuts import make_cut
from allinone.data.fit import Fit
from allinone.data.report import DataReport
from allinone.text import CharTokenizer
from tests.data.examples import frames

FIT = Fit(CharTokenizer(), frames, max_seconds=1.05)  # a recording of lhotse's dummies lasts a second: 25 frames


def cut(text: str):
    return make_cut(Row(text, "", text), text, dummy_recording(0))


@pytest.mark.parametrize(
    ("text", "needed", "fits"),
    [("ab" * 12 + "a", 25, True), ("ab" * 13, 26, False), ("a" * 13, 25, True), ("a" * 14, 27, False)],
)
def test_as_many_frames_as_labels_and_repetitions_are_enough(text, needed, fits):
    problem = FIT.problem(cut(text))
    assert FIT.needed[text] == needed
    assert problem == (None if fits else ("too short for its text", f"1.00 s give 25 frames, {text!r} needs {needed}"))


def test_a_speed_that_makes_an_utterance_too_short_or_too_long_is_not_allowed():
    tight, loose = cut("ab" * 12), cut("ab")
    assert FIT.problem(tight) is None
    assert FIT.problem(loose) is None
    assert [FIT.allows(tight, factor) for factor in (0.9, 1.0, 1.1)] == [False, True, False]
    assert [FIT.allows(loose, factor) for factor in (0.9, 1.0, 1.1)] == [False, True, True]


def test_a_character_without_a_label_comes_first():
    assert FIT.problem(cut("1a2")) == ("unknown characters", "1 2 in '1a2'")


def test_without_ctc_a_frame_is_enough_at_any_speed():
    fit = Fit(CharTokenizer(), frames, max_seconds=1.05, ctc=False)
    fast = cut("ab" * 100)
    assert fit.problem(fast) is None
    assert [fit.allows(fast, factor) for factor in (0.9, 1.0, 2.0)] == [False, True, True]
    silent = Fit(CharTokenizer(), lambda samples: 0, max_seconds=1.05, ctc=False)
    assert silent.problem(cut("ab")) == ("too short for its text", "1.00 s give 0 frames, 'ab' needs 1")


@pytest.mark.parametrize("ctc", [True, False])
def test_a_text_with_more_labels_than_the_decoder_can_spell_is_left_out_with_a_reason(ctc):
    fit, report = Fit(CharTokenizer(), frames, 1.05, ctc, most_labels=3), DataReport("corpus", 2)
    assert [kept.id for kept in fit.select([cut("abc"), cut("abca")], report)] == ["abc"]
    assert report.to_dict()["problems"] == {
        "too many labels for the attention decoder": [
            {"id": "abca", "detail": "'abca' has 4 labels, at most 3 can be spelt"}
        ]
    }
    assert "too many labels for the attention decoder: 1" in report.summary()
