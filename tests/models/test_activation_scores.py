"""Tests of the importance of units and heads by what they do to speech."""

import pytest
import torch

from allinone.models.activation_scores import activations
from allinone.models.importance import head_norms, sort_by_importance, unit_norms
from tests.laws.examples import make_batch, make_task, perturb
from tests.laws.transformers import LAYOUTS, make_transformer

TASKS = {"conformer": lambda: make_task(positions="relative")} | {
    name: (lambda layout=layout: make_transformer(layout)) for name, layout in LAYOUTS.items()
}
tasks = pytest.mark.parametrize("make", TASKS.values(), ids=TASKS)


def hear(task):
    batch = make_batch((0.9,))
    with torch.no_grad():
        return task(batch.waveforms, batch.lengths, task.space.largest).log_probs


@tasks
def test_a_score_is_the_size_of_what_is_lost_without_the_unit_or_head(make):
    """An oracle: the root mean square of the change of a module's output when one of them is silenced."""
    task = perturb(make()).eval()
    scores = activations(task, lambda: hear(task)).scores
    assert scores.keys() == unit_norms(task).keys() | head_norms(task).keys()
    for name in list(scores)[:2]:
        module, said = task.get_submodule(name), []
        hook = module.register_forward_hook(lambda _module, _inputs, output, said=said: said.append(output))
        hear(task)
        (weight,) = (getattr(module, out).weight for out in ("down", "output") if hasattr(module, out))
        before = weight.detach().clone()
        weight.data[:, : weight.shape[1] // len(scores[name])] = 0
        hear(task)
        weight.data.copy_(before)
        hook.remove()
        lost = (said[1] - said[0]).flatten(0, 1).norm(dim=-1).square().mean().sqrt()
        torch.testing.assert_close(scores[name][0], lost, rtol=1e-4, atol=1e-6)


@tasks
def test_sorting_by_them_changes_no_output(make):
    task = perturb(make()).eval()
    for norms in (None, head_norms(task) | unit_norms(task)):
        before = hear(task)
        scores = activations(task, lambda: hear(task)).scores if norms is None else norms
        sort_by_importance(task, scores)
        torch.testing.assert_close(hear(task), before, rtol=0, atol=2e-5)
    after = activations(task, lambda: hear(task)).scores
    sort_by_importance(task, after)
    for score in activations(task, lambda: hear(task)).scores.values():
        assert (score.diff() <= 1e-5).all()
