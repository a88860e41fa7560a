"""Tests of the importance order at the start of a training."""

import pytest
import torch

from allinone.models.activation_scores import activation_scores
from allinone.models.importance import head_norms, unit_norms
from allinone.training.importance import check_ranking, sort_units_and_heads
from tests.laws.examples import DECODER, make_batch, make_task, perturb


@pytest.fixture
def task():
    return perturb(make_task(positions="relative", attention=DECODER))


def test_what_is_heard_decides_on_the_order_of_what_hears_and_weights_on_the_rest(task):
    batch = make_batch()

    def hear(waveforms, lengths):
        with torch.no_grad():
            assert waveforms.shape[1] == int(lengths[0])  # no padding
            task(waveforms, lengths, task.space.largest)

    def listen():
        for row in range(len(batch)):
            alone = batch.select([row])
            hear(alone.waveforms, alone.lengths)

    sort_units_and_heads(task.train(), units=True, heads=True, hear=hear, batches=[batch])
    assert task.training
    heard = activation_scores(task.eval(), listen)
    assert {name.split(".")[0] for name in heard} == {"encoder"}
    for name, score in (unit_norms(task) | head_norms(task) | heard).items():
        assert (score.diff() <= 1e-6).all(), name
    assert any((score.diff() > 0).any() for score in unit_norms(task).values())


def test_only_what_is_asked_for_is_sorted(task):
    heads, units = head_norms(task), unit_norms(task)
    sort_units_and_heads(task, units=True, heads=False, hear=lambda *_: None)
    assert all(map(torch.equal, head_norms(task).values(), heads.values()))
    assert not all(map(torch.equal, unit_norms(task).values(), units.values()))


def test_a_ranking_that_does_not_exist_is_refused():
    check_ranking("activations")
    with pytest.raises(ValueError, match="importance must be one of weights, activations; found 'taylor'"):
        check_ranking("taylor")
