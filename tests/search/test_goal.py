"""The direction of a metric."""

import pytest

from mnist_sweep.search import Goal


@pytest.mark.parametrize(("goal", "loss"), [(Goal.MINIMIZE, 0.3), (Goal.MAXIMIZE, -0.3)])
def test_a_loss_is_better_the_less_it_is(goal: Goal, loss: float) -> None:
    assert goal.to_loss(0.3) == loss
    assert goal.to_loss(goal.to_loss(0.3)) == 0.3


def test_better_is_strict() -> None:
    assert Goal.MINIMIZE.better(1, 2)
    assert not Goal.MINIMIZE.better(2, 1)
    assert Goal.MAXIMIZE.better(2, 1)
    assert not Goal.MAXIMIZE.better(1, 2)
    assert not any(goal.better(1, 1) for goal in Goal)


def test_a_goal_is_its_text() -> None:
    assert Goal("maximize") is Goal.MAXIMIZE
    assert f"{Goal.MINIMIZE}" == "minimize"
