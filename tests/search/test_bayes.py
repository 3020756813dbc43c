"""The model learns: towards good values, away from broken constraints and failures, in any kind of space."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch

from mnist_sweep.search import Trial, parse, suggest, warm_up

METRIC = {"name": "acc", "goal": "maximize"}


def sweep(
    parameters: dict[str, Any], run: Any, n: int, *, method: str = "bayes", seed: int = 0, agents: int = 1
) -> list[Trial]:
    """A sweep of `n` trials; `run(params)` gives state and summary, of which agents know nothing while it runs."""
    config = {"method": method, "metric": METRIC, "parameters": parameters}
    trials: list[Trial] = []
    for number in range(n):
        params = suggest(parse(config), trials, seed=seed)
        assert params is not None
        trials.append(Trial(str(number), params, "running"))
        done = number - agents + 1
        if done >= 0:
            state, summary = run(trials[done].params)
            trials[done] = Trial(str(done), trials[done].params, state, [summary], summary)
    return trials


def best(trials: list[Trial]) -> float:
    return max(trial.summary.get("acc", -math.inf) for trial in trials)


PEAK = {
    "x": {"min": 0.0, "max": 1.0},
    "y": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1},
    "n": {"min": 1, "max": 30},
}


def peak(params: Any) -> tuple[str, dict[str, float]]:
    distance = (params["x"] - 0.3) ** 2 + (math.log10(params["y"]) / 4 + 0.6) ** 2 + (params["n"] / 30 - 0.7) ** 2
    return "finished", {"acc": 1 - distance}


@pytest.mark.parametrize("agents", [1, 2])
def test_a_peak_is_found(agents: int) -> None:
    assert best(sweep(PEAK, peak, 20, agents=agents)) > 0.999
    assert best(sweep(PEAK, peak, 20, agents=agents, method="random")) < 0.999


def test_the_best_of_a_few_names_is_found() -> None:
    gain = {"a": 0.1, "b": 0.2, "c": 0.9, "d": 0.3}
    parameters = {"kind": {"values": list(gain)}, "x": {"min": 0.0, "max": 1.0}}
    trials = sweep(parameters, lambda p: ("finished", {"acc": gain[p["kind"]] - (p["x"] - 0.5) ** 2}), 20)
    assert sum(trial.params["kind"] == "c" for trial in trials[10:]) >= 6


WIDTHS = {f"w{i}": {"min": 8, "max": 32} for i in range(1, 5)}


def network(params: Any) -> tuple[str, dict[str, float]]:
    """Wider is better, until the parameters exceed 10,000: then the run ends at once and without a metric."""
    widths = [1, *(params[f"w{i}"] for i in range(1, 5))]
    over = 9 * sum(a * b for a, b in pairwise(widths)) - 9_999
    gain = -sum(a / w for a, w in zip((2, 4, 7, 9), widths[1:], strict=True))
    return "finished", {"constraint/parameters": over} | ({"acc": gain} if over <= 0 else {})


def infeasible(trials: list[Trial]) -> float:
    return sum(network(trial.params)[1]["constraint/parameters"] > 0 for trial in trials) / len(trials)


def test_after_thirty_trials_suggestions_over_budget_are_rare() -> None:
    """Half of the space is over budget, and the best networks are just below it."""
    trials = sweep(WIDTHS | {"x": {"min": 0.0, "max": 1.0}}, network, 45)
    assert infeasible(trials[30:]) <= 0.2
    assert infeasible(sweep(WIDTHS, network, 100, method="random")) > 0.4
    assert best(trials) > best(sweep(WIDTHS, network, 45, method="random"))


def test_a_constraint_reported_only_when_it_is_broken_is_learned_as_well() -> None:
    def silent_when_feasible(params: Any) -> tuple[str, dict[str, float]]:
        state, summary = network(params)
        return state, summary if summary["constraint/parameters"] > 0 else {"acc": summary["acc"]}

    assert infeasible(sweep(WIDTHS | {"x": {"min": 0.0, "max": 1.0}}, silent_when_feasible, 26)[13:]) <= 0.4


def test_runs_that_crash_are_avoided() -> None:
    def crashing(params: Any) -> tuple[str, dict[str, float]]:
        return ("crashed", {}) if params["x"] > 0.5 else peak(params)

    trials = sweep(PEAK, crashing, 20)
    assert sum(trial.state == "crashed" for trial in trials[10:]) <= 4
    assert best(trials) > 0.99


def test_values_that_are_no_numbers_do_no_harm() -> None:
    def sometimes_nan(params: Any) -> tuple[str, dict[str, Any]]:
        state, summary = peak(params)
        return state, {"acc": [math.nan, math.inf, "NaN"][params["n"] % 3]} if params["x"] > 0.7 else summary

    assert max(t.summary["acc"] for t in sweep(PEAK, sometimes_nan, 16) if t.params["x"] <= 0.7) > 0.98


@pytest.mark.parametrize(("ended", "under_way"), [(1000, 0), (30, 40)])
def test_large_sweeps_are_answered(ended: int, under_way: int) -> None:
    config = {"method": "bayes", "metric": METRIC, "parameters": PEAK}
    trials = []
    for number in range(ended + under_way):
        u = (number * 0.618) % 1
        params = {"x": u, "y": 10 ** (-4 * ((7 * u) % 1)), "n": 1 + number % 30}
        state, summary = peak(params) if number < ended else ("running", {})
        trials.append(Trial(str(number), params, state, [summary], summary))
    params = suggest(parse(config), trials, seed=0)
    assert params is not None
    assert params not in [trial.params for trial in trials]


def test_threads_of_the_process_are_left_as_they_were() -> None:
    before = torch.get_num_threads()
    warm_up()
    assert torch.get_num_threads() == before
