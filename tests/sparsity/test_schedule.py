"""Laws of schedules: they are due at stated steps, whatever was asked before."""

import pytest

from allinone.sparsity import EveryK, FewShot, OneShot


@pytest.mark.parametrize(
    ("schedule", "steps"),
    [
        (OneShot(), [0]),
        (FewShot(10, 3), [3, 6, 9]),
        (FewShot(9, 3), [3, 6, 9]),
        (FewShot(3), [1, 2, 3]),
        (FewShot(4, 4), [4]),
        (EveryK(7), [7, 14, 21, 28]),
        (EveryK(1), list(range(1, 30))),
    ],
    ids=str,
)
def test_a_schedule_is_due_at_its_steps_in_whatever_order_they_are_asked(schedule, steps):
    assert [step for step in range(30) if schedule.due(step)] == steps
    assert sorted(step for step in reversed(range(30)) if schedule.due(step)) == steps  # as a resumed run may
    assert schedule.first == steps[0]


def test_the_1k_shot_of_usm_lite_is_due_a_thousand_times():
    assert sum(FewShot(1000).due(step) for step in range(5000)) == 1000


@pytest.mark.parametrize(("steps", "every"), [(0, 1), (3, 4), (5, 0), (5, -1), (5.0, 1), (5, True), ("5", 1)])
def test_few_shots_that_are_never_due_are_refused(steps, every):
    with pytest.raises(
        ValueError, match=r"FewShot requires whole numbers .* 1 <= every <= steps; found every=.*\. Give"
    ):
        FewShot(steps, every)


@pytest.mark.parametrize("every", [0, -1, 2.0, "2", None, True])
def test_other_than_whole_numbers_of_updates_are_refused(every):
    with pytest.raises(
        ValueError, match=r"EveryK requires a whole number of updates, 1 or more; found every=.*\. Give"
    ):
        EveryK(every)
