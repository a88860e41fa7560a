"""Greedy decoding equals the definition: take the best label of each frame, merge, drop blanks."""

import itertools
from dataclasses import replace

import pytest
import torch

from allinone.decoding import Greedy, Joint, ctc_greedy
from allinone.text import CharTokenizer
from tests.decoding.examples import random_heard


def by_definition(path: list[int], blank: int) -> list[int]:
    return [label for label, _ in itertools.groupby(path) if label != blank]


@pytest.mark.parametrize("blank", [0, 2])
def test_greedy_equals_the_definition_on_every_utterance(blank):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(20, 30, 4, generator=generator)
    lengths = torch.randint(0, 31, (20,), generator=generator)
    expected = [
        by_definition(row[:length].argmax(-1).tolist(), blank)
        for row, length in zip(scores, lengths.tolist(), strict=True)
    ]
    assert ctc_greedy(scores, lengths, blank) == expected


def test_a_blank_separates_equal_labels():
    path = torch.tensor([[1, 1, 0, 1, 2, 2, 0, 0]])
    assert ctc_greedy(torch.nn.functional.one_hot(path).float(), torch.tensor([8])) == [[1, 1, 2]]


def test_an_utterance_does_not_depend_on_its_batch():
    scores = torch.randn(3, 12, 5, generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([12, 7, 3])
    joined = ctc_greedy(scores, lengths)
    for row in range(3):
        assert ctc_greedy(scores[row : row + 1, : lengths[row]], lengths[row : row + 1]) == [joined[row]]


def test_no_frames_give_no_labels():
    assert ctc_greedy(torch.zeros(2, 0, 5), torch.tensor([0, 0])) == [[], []]


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"requires log_probs \(batch, time, vocab\).*found \(2, 3\) and \(2,\); pass"):
        ctc_greedy(torch.zeros(2, 3), torch.tensor([1, 1]))


def test_without_a_ctc_output_the_best_next_label_is_taken_until_it_ends():
    tokenizer = CharTokenizer("abc")
    heard = replace(random_heard(0, [6, 4, 5]), log_probs=None)
    expected = Joint(beam_size=1, ctc_weight=0.0, max_repeats=5).build(tokenizer)(heard)
    assert Greedy().build(tokenizer)(heard) == expected
    assert all(hypotheses[0].scores.keys() == {"total", "attention"} for hypotheses in expected)
