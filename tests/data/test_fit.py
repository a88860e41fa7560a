"""CTC needs a frame for every label and one more between equal neighbours, at every speed."""

import pytest
from lhotse.testing.dummies import dummy_recording

from allinone.data.corpora import Row
from allinone.data.cuts import make_cut
from allinone.data.fit import CtcFit
from allinone.text import CharTokenizer
from tests.data.examples import frames

FIT = CtcFit(CharTokenizer(), frames, max_seconds=1.05)  # a recording of lhotse's dummies lasts a second: 25 frames


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
