"""Guards of a search: no run of labels stands too often in a row, no text is too long to spell, or a mere guess."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from allinone.decoding import Heard, Joint, Rescoring
from allinone.decoding.repeats import LONGEST_RUN, forbid_repeats
from allinone.text import CharTokenizer
from tests.decoding.examples import every_text, random_heard

SMALL = CharTokenizer("abc")


def most_in_a_row(labels: Sequence[int], longest: int = LONGEST_RUN) -> int:
    """How many times a run of up to so many labels stands in a row, at most."""
    counts = [1 if labels else 0]
    for run, start in itertools.product(range(1, longest + 1), range(len(labels))):
        first = list(labels[start : start + run])
        count = 1
        while len(first) == run and list(labels[start + count * run : start + (count + 1) * run]) == first:
            count += 1
        counts.append(count)
    return max(counts)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_what_is_forbidden_is_what_would_be_one_run_too_many(most):
    """By the definition, for all texts of two labels; texts that broke the rule before do not occur."""
    for size in range(8):
        texts = [text for text in itertools.product((1, 2), repeat=size) if most_in_a_row(text) <= most]
        if not texts:
            continue
        totals = torch.zeros(1, len(texts), 4)
        forbid_repeats(totals, torch.tensor(texts).view(1, len(texts), size), most)
        expected = [
            [0.0 if most_in_a_row((*text, label)) <= most else -math.inf for label in range(4)] for text in texts
        ]
        assert totals[0].tolist() == [[0.0, *row[1:]] for row in expected]  # the end is never forbidden


@pytest.mark.parametrize("run", [1, 4, LONGEST_RUN])
def test_runs_of_up_to_ten_labels_are_told(run):
    text = torch.arange(1, run + 1).repeat(4)[None, None]
    assert forbidden(text[..., :-1]) == [run]  # which would end the fourth
    assert forbidden(text[..., :-2]) == []
    assert forbidden(torch.arange(1, LONGEST_RUN + 2).repeat(4)[None, None, :-1]) == []


def forbidden(texts: Tensor) -> list[int]:
    """Labels that may not follow where runs may stand three times."""
    totals = torch.zeros(1, 1, LONGEST_RUN + 2)
    forbid_repeats(totals, texts, 3)
    return totals[0, 0].isinf().nonzero()[:, 0].tolist()


@dataclasses.dataclass(frozen=True)
class Loop:
    """A speller that says the same label again, surely, and hardly ever ends."""

    most_labels: int | None = None

    def start(self, encoded: Tensor, lengths: Tensor) -> "Loop":
        return self

    def step(self, labels: Tensor, spelling: Any) -> tuple[Tensor, Any]:
        scores = torch.tensor([-5.0, 9.0, 1.0, 0.0]).log_softmax(-1)
        return scores.expand(*labels.shape, -1), self

    def select(self, parents: Tensor) -> "Loop":
        return self

    def keep(self, utterances: Tensor) -> "Loop":
        return self

    def __call__(self, encoded: Tensor, lengths: Tensor, labels: Tensor) -> Tensor:
        raise NotImplementedError


def heard_loop(lengths: Sequence[int], most_labels: int | None = None) -> Heard:
    return dataclasses.replace(random_heard(0, lengths), speller=Loop(most_labels))


@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize("most", [1, 3])
def test_a_decoder_that_is_caught_in_a_loop_gets_out_of_it(beam_size, most):
    settings = Joint(beam_size=beam_size, ctc_weight=0.0, length_bonus=20.0)
    for found in settings.search(heard_loop([30, 20])):
        assert most_in_a_row(found[0].labels) > 10
    for found in dataclasses.replace(settings, max_repeats=most).search(heard_loop([30, 20])):
        assert 0 < most_in_a_row(found[0].labels) <= most


@pytest.mark.parametrize("ctc_weight", [0.0, 0.3, 1.0])
def test_a_large_beam_finds_the_best_of_all_texts_without_such_runs(ctc_weight):
    settings = Joint(beam_size=200, ctc_weight=ctc_weight, length_bonus=3.0, max_ratio=0.8, nbest=5, max_repeats=1)
    for seed in range(3):
        heard = random_heard(seed, [5])
        expected = [one for one in every_text(heard, most=4, settings=settings) if most_in_a_row(one[1]) <= 1][:5]
        (found,) = settings.search(heard)
        assert [text.labels for text in found] == [text for _, text in expected]
        assert [text.total for text in found] == pytest.approx([score for score, _ in expected], abs=1e-4)


@pytest.mark.parametrize("ctc_weight", [0.0, 0.3])
def test_a_guard_that_nothing_touches_changes_nothing(ctc_weight):
    settings = Joint(beam_size=4, ctc_weight=ctc_weight, nbest=3)
    heard = random_heard(2, [9, 30, 1, 0, 17], vocab=9)
    guarded = dataclasses.replace(settings, max_repeats=30, min_confidence=-1e9)
    assert guarded.search(heard) == settings.search(heard)


@pytest.mark.parametrize("ctc_weight", [0.0, 0.3])
def test_no_text_is_longer_than_the_decoder_can_spell(ctc_weight):
    settings = Joint(beam_size=4, ctc_weight=ctc_weight, length_bonus=50.0)
    found = settings.search(heard_loop([30, 4], most_labels=6))
    assert [len(texts[0].labels) for texts in found] == [6, 4 if ctc_weight == 0 else len(found[1][0].labels)]


def test_the_ctc_output_alone_is_not_limited_by_a_decoder_that_is_not_asked():
    settings = Joint(beam_size=4, ctc_weight=1.0, length_bonus=50.0)
    assert len(settings.search(heard_loop([30], most_labels=6))[0][0].labels) > 6
    assert len(settings.search(heard_loop([30]), most_labels=6)[0][0].labels) == 6


def test_texts_that_are_proposed_to_a_decoder_are_those_it_can_spell():
    settings = Rescoring(beam_size=4, ctc_weight=0.5, nbest=4)
    assert any(len(text.labels) > 6 for text in settings.search(random_heard(0, [30]))[0])
    assert all(len(text.labels) <= 6 for text in settings.search(random_heard(0, [30], places=7))[0])


@pytest.mark.parametrize("ctc_weight", [0.0, 0.3])
def test_a_text_that_the_decoder_is_unsure_of_is_empty_and_keeps_its_scores(ctc_weight):
    settings = Joint(beam_size=4, ctc_weight=ctc_weight, nbest=4)
    heard = random_heard(1, [30, 18, 11], vocab=9)
    plain = settings.search(heard)
    means = [text.scores["attention"] / (len(text.labels) + 1) for texts in plain for text in texts]
    threshold = sorted(means)[len(means) // 2]
    guarded = dataclasses.replace(settings, min_confidence=threshold).search(heard)
    pairs = list(zip(itertools.chain(*plain), itertools.chain(*guarded), means, strict=True))
    for before, after, mean in pairs:
        assert after.scores == before.scores
        assert after.labels == (before.labels if mean >= threshold else ())
    assert 0 < sum(not after.labels for _, after, _ in pairs) < len(pairs)


def test_what_is_no_speech_has_no_text():
    heard = heard_loop([30])
    sure = Joint(beam_size=2, ctc_weight=0.0, max_repeats=3)
    assert sure.build(SMALL)(heard)[0][0].text
    (hypothesis,) = dataclasses.replace(sure, min_confidence=-1e-6).build(SMALL)(heard)[0]
    assert hypothesis.text == ""
    assert hypothesis.scores == sure.build(SMALL)(heard)[0][0].scores


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_repeats": 0}, r"max_repeats must be a whole number above 0, or none \(null\); found 0\. Correct it"),
        ({"max_repeats": 2.5}, r"found 2\.5\. Correct it"),
        (
            {"min_confidence": 0.5},
            r"at most 0, of an attention decoder .* found min_confidence=0\.5 and ctc_weight=0\.3",
        ),
        ({"min_confidence": math.nan}, r"found min_confidence=nan"),
        ({"min_confidence": -1.0, "ctc_weight": 1.0}, r"found min_confidence=-1\.0 and ctc_weight=1\.0\. Correct one"),
    ],
)
def test_impossible_guards_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Joint(beam_size=4, ctc_weight=0.3), **settings)
