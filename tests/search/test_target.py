"""A sweep with a target has found it when any run reached it, at any time."""

import math
from typing import Any

import pytest

from mnist_sweep.search import SweepConfig, Trial, parse, target_reached


def run(name: str, *values: float) -> Trial:
    return Trial(name, {}, "running", [{"acc": value} for value in values])


def sweep(metric: dict[str, Any] | None) -> SweepConfig:
    return parse({"method": "random", "parameters": {"x": {"value": 1}}} | ({"metric": metric} if metric else {}))


@pytest.mark.parametrize(("goal", "name"), [("maximize", "b"), ("minimize", "a"), (None, "a")])
def test_the_first_run_that_reached_it_is_named(goal: str | None, name: str) -> None:
    metric = {"name": "acc", "target": 0.5} | ({"goal": goal} if goal else {})
    assert target_reached(sweep(metric), [run("z"), run("a", 0.4), run("b", 0.3, 0.5, 0.2), run("c", 0.9)]) == name


def test_nothing_is_reached_without_a_target_or_a_number() -> None:
    trials = [run("a", 0.4), run("b", math.nan, math.inf)]
    assert target_reached(sweep({"name": "acc"}), trials) is None
    assert target_reached(sweep(None), trials) is None
    assert target_reached(sweep({"name": "acc", "goal": "maximize", "target": 0.5}), trials) is None
