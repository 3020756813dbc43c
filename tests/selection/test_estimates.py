"""Beliefs about invented figures: one lucky run among steady ones."""

import math
from statistics import fmean
from typing import Any

import pytest

from mnist_sweep.config import parse
from mnist_sweep.review.fields import sweep_info
from mnist_sweep.review.records import RunRecord
from mnist_sweep.selection.estimates import estimate_configurations

SWEEP: dict[str, Any] = {
    "method": "bayes",
    "metric": {"name": "objective", "goal": "minimize"},
    "parameters": {"max_lr": {"min": 0.01, "max": 0.5}, "replicate": {"min": 0, "max": 5}},
}
INFO = sweep_info(SWEEP, id="s", entity="e", project="p")


def run(max_lr: float, replicate: int, objective: float | None, *, state: str = "finished", **said: Any) -> RunRecord:
    config = parse({"max_lr": max_lr, "replicate": replicate}).model_dump(exclude_none=True)
    summary = said | ({} if objective is None else {"objective": objective, "val/accuracy": 1 - objective})
    return RunRecord(id=f"{max_lr}-{replicate}", state=state, config=config, summary=summary)


STEADY = [run(0.1, r, 0.020 + 0.0005 * (-1) ** r) for r in range(6)]
POOR = [run(0.3, r, 0.030 + 0.008 * (-1) ** r) for r in range(6)]
LUCKY = run(0.29, 0, 0.0195)


def test_the_most_promising_is_not_the_luckiest_run() -> None:
    found = estimate_configurations(INFO, SWEEP, [*POOR, *STEADY, LUCKY])
    steady, lucky = found[0], next(each for each in found if each.recipe.max_lr == 0.29)
    assert steady.recipe.max_lr == 0.1
    assert lucky.observed is not None
    assert lucky.accuracy is not None
    assert lucky.accuracy < lucky.observed - 0.002  # its luck is taken off
    assert lucky.value > 0.0195 + 0.002
    assert (lucky.runs, steady.runs) == (1, 6)
    assert steady.value == pytest.approx(0.020, abs=0.001)
    assert steady.observed == pytest.approx(fmean(1 - 0.020 - 0.0005 * (-1) ** r for r in range(6)))


def test_what_diverged_is_not_promising_and_what_is_no_result_says_nothing() -> None:
    diverged = run(0.2, 0, None, diverged=True)
    stopped = run(0.1, 5, 0.001, complete=False)
    killed = run(0.05, 0, 0.001, state="killed")
    refused = run(0.02, 0, None, feasible=False)
    found = estimate_configurations(INFO, SWEEP, [*STEADY[:5], diverged, stopped, killed, refused])
    assert [(each.recipe.max_lr, each.runs) for each in found] == [(0.1, 5)]


def test_a_run_outside_the_ranges_stands_behind_with_what_was_measured() -> None:
    outside = run(0.9, 0, 0.001)
    found = estimate_configurations(INFO, SWEEP, [outside, *STEADY])
    assert [each.recipe.max_lr for each in found] == [0.1, 0.9]
    assert found[1].value == 0.001


def test_without_a_model_means_decide() -> None:
    several = {key: value for key, value in SWEEP.items() if key != "metric"} | {"method": "custom", "metrics": ["x"]}
    found = estimate_configurations(INFO, several, [LUCKY, *STEADY])
    assert [each.recipe.max_lr for each in found] == [0.29, 0.1]
    assert math.isclose(found[0].value, 0.0195)
