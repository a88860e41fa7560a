"""One training step gives the gradients of the equation, however it is computed."""

from dataclasses import replace

import pytest
import torch

from allinone.losses import AlphaDivergence
from allinone.subnet import FixedSampler, SubnetConfig
from allinone.training import Objective, Weights
from allinone.training.one_pass import Draw, Part, assign, one_pass, touch_all
from tests.laws.examples import DECODER, learn, make_batch, make_task, perturb

SMALLEST, MIDDLE, SHALLOW = (SubnetConfig.parse(name) for name in ("2-12-4bit", "3-12-4bit", "2-24-8bit"))
OBJECTIVES = [
    Objective(),
    Objective(intermediate=0.3),
    Objective(ctc_weight=0.0),
    Objective(Weights(0.8, 0.0), Weights(1.0, 0.0)),
    Objective(Weights(1, 0.005), Weights(1, 0.1)),
    Objective(divergence=AlphaDivergence(), hidden=0.5),
]
OUTPUTS = [
    pytest.param({}, id="ctc"),
    pytest.param({"attention": DECODER}, id="hybrid"),
    pytest.param({"attention": DECODER, "ctc": False}, id="attention"),
]


def step(task, batch, plan, objective, scale=1.0, teacher=None):
    draw = Draw(0, 0, 0)
    one_pass(task, batch, plan, objective, scale=scale, backward=torch.Tensor.backward, draw=draw, teacher=teacher)
    touch_all(task.parameters()).backward()
    return [parameter.grad for parameter in task.parameters()]


def without_ctc(objective, outputs):
    """The objective of a network with these outputs."""
    return objective if outputs.get("ctc", True) else replace(objective, ctc_weight=0.0, intermediate=0.0)


def naive(task, batch, plan, objective, scale=1.0):
    """Eq. 4 with everything in one graph; each member runs alone, its front end too."""
    largest, loss = task.space.largest, torch.zeros(())
    for part, members in ((batch.select(part.rows), part.members) for part in plan):
        teacher = learn(task, part, largest)
        for member in members:
            output = learn(task, part, member, objective)
            own = objective.losses(output, part.labels, part.label_lengths).sum()
            if member == largest:
                loss = loss + own
                continue
            weights = objective.depth if member.depth < largest.depth else objective.other
            loss = loss + weights.loss * own + weights.distillation * objective.divergences(output, teacher).sum()
    return torch.autograd.grad(loss * scale, list(task.parameters()), allow_unused=True, materialize_grads=True)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("front_end_bits", [None, 8, 32])
def test_a_step_gives_the_gradient_of_the_equation(objective, front_end_bits, outputs):
    objective = without_ctc(objective, outputs)
    task, batch = make_task(bits=(4, 8), front_end_bits=front_end_bits, **outputs).train(), make_batch()
    plan = assign(batch, [task.space.largest, SMALLEST, MIDDLE, SHALLOW], in_batch=False, step=0)
    for found, expected in zip(
        step(task, batch, plan, objective, 0.25), naive(task, batch, plan, objective, 0.25), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("outputs", OUTPUTS)
def test_a_step_in_parts_gives_the_gradient_of_the_equation_on_the_parts(outputs):
    objective = without_ctc(Objective(), outputs)
    task, batch = make_task(bits=(4, 8), **outputs).train(), make_batch((0.9, 0.8, 0.7, 0.65, 0.5))
    members = [task.space.largest, SMALLEST, MIDDLE]
    plan = assign(batch, members, in_batch=True, step=1)
    assert sorted(row for part in plan for row in part.rows) == list(range(len(batch)))
    for found, expected in zip(step(task, batch, plan, objective), naive(task, batch, plan, objective), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_the_teacher_is_heard_where_lambda2_asks_for_it_hidden_frames_or_not():
    task, batch = make_task(bits=(4, 8)).train(), make_batch((0.9, 0.8, 0.7))
    plan = assign(batch, [task.space.largest, SMALLEST, MIDDLE], in_batch=True, step=0)
    for objective, wanted in (
        (Objective(hidden=1.0), True),
        (Objective(Weights(1, 0), Weights(1, 0), hidden=1.0), False),
    ):
        heard = []
        one_pass(
            task,
            batch,
            plan,
            objective,
            scale=1,
            backward=torch.Tensor.backward,
            draw=Draw(0, 0, 0),
            begin=lambda part, audio_seconds, heard=heard: heard.append(part),
        )
        assert ("teacher" in heard) == wanted


def test_the_parts_take_turns():
    task, batch = make_task(bits=(4, 8)), make_batch((0.9, 0.8, 0.7))
    members = [task.space.largest, SMALLEST, MIDDLE]
    seen = {member: set() for member in members}
    for number in range(3):
        for part in assign(batch, members, in_batch=True, step=number):
            seen[part.members[0]].add(part.rows)
    assert all(len(parts) == 3 for parts in seen.values())


def test_a_batch_smaller_than_the_members_drops_the_last_which_are_random():
    task, batch = make_task(bits=(4, 8)), make_batch((0.9, 0.8))
    members = [task.space.largest, SMALLEST, MIDDLE, SHALLOW]
    plan = assign(batch, members, in_batch=True, step=0)
    assert [part.members for part in plan] == [(task.space.largest,), (SMALLEST,)]
    assert assign(batch, members, in_batch=False, step=0) == [Part((0, 1), tuple(members))]


def test_a_lone_member_learns_from_the_transcripts_alone():
    """A stand-alone twin has no teacher, and its loss its full weight."""
    task, batch = make_task(bits=(4, 8)).train(), make_batch()
    members = FixedSampler(task.space, SMALLEST.name).members(0, 0)
    found = step(task, batch, assign(batch, members, in_batch=False, step=0), Objective())
    output = learn(task, batch, SMALLEST)
    loss = Objective().losses(output, batch.labels, batch.label_lengths).sum()
    expected = torch.autograd.grad(loss, list(task.parameters()), allow_unused=True, materialize_grads=True)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("in_batch", [False, True])
@pytest.mark.parametrize("end", ["smallest", "largest"])
def test_a_teacher_from_outside_teaches_a_lone_member_and_stays_as_it_is(outputs, in_batch, end):
    """A stand-alone twin with distillation: Eq. 4 with the largest member of another network as p_max."""
    objective = without_ctc(Objective(), outputs)
    task, batch = make_task(bits=(4, 8), **outputs).train(), make_batch()
    teacher = perturb(make_task(bits=(4, 8), **outputs, seed=1)).eval().requires_grad_(False)
    member = getattr(task.space, end)
    plan = assign(batch, [member], in_batch=in_batch, step=0)
    found = step(task, batch, plan, objective, teacher=teacher)
    output, lesson = learn(task, batch, member), learn(teacher, batch, teacher.space.largest)
    weights = objective.depth if end == "smallest" else objective.other
    own = objective.losses(output, batch.labels, batch.label_lengths)
    loss = weights.loss * own + weights.distillation * objective.divergences(output, lesson)
    parameters = list(task.parameters())
    expected = torch.autograd.grad(loss.sum(), parameters, allow_unused=True, materialize_grads=True)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_dropout_is_a_function_of_seed_step_rank_and_place():
    def drawn(draw, place="0/12-2048-8bit"):
        draw.fix(place)
        return torch.rand(3).tolist()

    assert drawn(Draw(1, 2, 3)) == drawn(Draw(1, 2, 3))
    others = [drawn(Draw(0, 2, 3)), drawn(Draw(1, 0, 3)), drawn(Draw(1, 2, 0)), drawn(Draw(1, 2, 3), "other")]
    assert drawn(Draw(1, 2, 3)) not in others
