"""Losses before any step of training."""

import pytest

from allinone.tasks.recalibration import recalibrate
from allinone.training import Objective
from allinone.training.first_losses import losses_of
from allinone.training.one_pass import Draw, Part, one_pass
from tests.laws.examples import DECODER, make_batch, make_task, perturb

OBJECTIVE = Objective(intermediate=0.3)


def test_they_are_those_of_a_step_without_dropout():
    task = perturb(make_task(bits=(8, 32), attention=DECODER)).eval()
    batch = make_batch()
    members = list(task.space.uniform_members())
    recalibrate(task, [batch], members)
    plan = [Part(tuple(range(len(batch))), tuple(members))]
    step = one_pass(task, batch, plan, OBJECTIVE, scale=1.0, backward=lambda _: None, draw=Draw(0, 0, 0))
    apart = [batch.select([row]) for row in range(len(batch))]
    found = losses_of(task.train(), apart, members, OBJECTIVE)
    assert task.training
    assert found == pytest.approx({name: float(loss) for name, loss in step.items()}, rel=1e-4)


def test_of_nothing_there_is_no_loss():
    task = make_task(bits=(32,))
    with pytest.raises(ValueError, match="at least one utterance to hear; found none"):
        losses_of(task, [], [task.space.largest], Objective())
