"""A sweep with a target has found it when any run reached it, at any time."""

import math

import pytest

from mnist_sweep.search import Trial, reached


def run(name: str, *values: float) -> Trial:
    return Trial(name, {}, "running", [{"acc": value} for value in values])


@pytest.mark.parametrize(("goal", "name"), [("maximize", "b"), ("minimize", "a"), (None, "a")])
def test_the_first_run_that_reached_it_is_named(goal: str | None, name: str) -> None:
    metric = {"name": "acc", "target": 0.5} | ({"goal": goal} if goal else {})
    assert reached({"metric": metric}, [run("z"), run("a", 0.4), run("b", 0.3, 0.5, 0.2), run("c", 0.9)]) == name


def test_nothing_is_reached_without_a_target_or_a_number() -> None:
    trials = [run("a", 0.4), run("b", math.nan, math.inf)]
    assert reached({"metric": {"name": "acc"}}, trials) is None
    assert reached({"method": "random"}, trials) is None
    assert reached({"metric": {"name": "acc", "goal": "maximize", "target": 0.5}}, trials) is None
