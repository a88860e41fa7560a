"""Tests of the importance order at the start of a training."""

import pytest
import torch

from allinone.models.activation_scores import activations
from allinone.models.importance import head_norms, unit_norms
from allinone.training.importance import check_ranking, sort_units_and_heads
from tests.laws.examples import DECODER, make_batch, make_task, perturb


@pytest.fixture
def task():
    return perturb(make_task(positions="relative", attention=DECODER))


@pytest.mark.parametrize("heard", [True, False])
def test_units_and_heads_of_encoder_and_decoder_are_sorted_by_what_is_heard_or_by_weights(task, heard):
    batch, parts = make_batch(), ("encoder", "decoder")

    def hear(alone):
        with torch.no_grad():
            assert alone.waveforms.shape[1] == int(alone.lengths[0])  # no padding
            assert alone.labels.shape[1] == int(alone.label_lengths[0])
            shared = task.shared(alone.waveforms, alone.lengths)
            task.learn(shared, task.space.largest, alone.labels, alone.label_lengths)

    def listen():
        for row in range(len(batch)):
            hear(batch.select([row]))

    sort_units_and_heads(task.train(), units=parts, heads=parts, hear=hear, batches=[batch] if heard else None)
    assert task.training
    by_weights = unit_norms(task) | head_norms(task)
    by_speech = activations(task.eval(), listen).scores
    assert {name.split(".")[0] for name in by_speech} == set(parts)
    right, wrong = (by_speech, by_weights) if heard else (by_weights, by_speech)
    for name, score in right.items():
        assert (score.diff() <= 1e-6).all(), name
    for part in parts:
        assert any((score.diff() > 0).any() for name, score in wrong.items() if name.startswith(part))


def test_only_what_is_asked_for_is_sorted(task):
    heads, units = head_norms(task), unit_norms(task)
    sort_units_and_heads(task, units=("decoder",), heads=(), hear=lambda _: None)
    assert all(map(torch.equal, head_norms(task).values(), heads.values()))
    for name, score in unit_norms(task).items():
        assert torch.equal(score, units[name]) == name.startswith("encoder"), name


def test_a_ranking_that_does_not_exist_is_refused():
    check_ranking("activations")
    with pytest.raises(ValueError, match="importance must be one of weights, activations; found 'taylor'"):
        check_ranking("taylor")
