"""What a run is worth to the model, whatever it logged and however it ended."""

import math
from typing import Any

import pytest

from mnist_sweep.search import Trial, parse
from mnist_sweep.search.config import Metric
from mnist_sweep.search.observations import observe
from mnist_sweep.search.space import read

SPACE = read(
    parse(
        {
            "method": "random",
            "parameters": {"x": {"min": 0.0, "max": 1.0}, "c": {"values": ["a", "b"]}, "k": {"value": 7}},
        }
    )
)
ACCURACY = {"name": "acc", "goal": "maximize"}


def run(state: str, *values: Any, x: float = 0.5, **summary: Any) -> Trial:
    rows = [{"_step": i, "acc": value} for i, value in enumerate(values)]
    return Trial("r", {"x": x, "c": "b", "k": 7}, state, rows, summary)


def losses(metric: dict[str, Any], *trials: Trial) -> list[float | None]:
    return [o.loss for o in observe(SPACE, trials, Metric.model_validate(metric))]


def test_places_are_quantiles_and_indices() -> None:
    assert observe(SPACE, [run("finished", 0.9, x=0.25)], Metric.model_validate(ACCURACY))[0].encoded == (1, 0.25)


@pytest.mark.parametrize("goal", ["maximize", "minimize"])
def test_the_best_value_counts_not_the_last(goal: str) -> None:
    best = -0.9 if goal == "maximize" else 0.1
    assert losses({"name": "acc", "goal": goal}, run("finished", 0.1, 0.9, 0.5)) == [best]


def test_the_summary_counts_too() -> None:
    assert losses(ACCURACY, run("finished", 0.5, acc=0.7)) == [-0.7]
    assert losses(ACCURACY, run("finished", acc=0.7)) == [-0.7]


def test_nan_infinity_and_words_never_enter() -> None:
    trial = run("finished", math.nan, math.inf, "0.99", None, True, 10**400, 0.4, acc=math.nan)
    assert losses(ACCURACY, trial) == [-0.4]


@pytest.mark.parametrize("state", ["failed", "crashed", "killed"])
def test_a_run_that_broke_off_gets_the_worst_value_ever_logged(state: str) -> None:
    ended = [run("finished", 0.2, 0.8), run("finished", 0.7), run("finished", 0.5, 0.6)]
    assert losses(ACCURACY, *ended, run(state, 0.75))[3] == pytest.approx(-0.4)  # 0.2, clipped: see below
    assert losses({**ACCURACY, "impute": "best"}, *ended, run(state, 0.75, 0.65))[3] == -0.75
    assert losses({**ACCURACY, "impute": "latest"}, *ended, run(state, 0.75, 0.65))[3] == -0.65
    for impute in ("best", "latest", "worst"):
        assert losses({**ACCURACY, "impute": impute}, *ended, run(state))[3] == pytest.approx(-0.4)


def test_a_finished_run_without_the_metric_gets_the_worst_value() -> None:
    assert losses(ACCURACY, run("finished", 0.7, 0.8), run("finished", 0.7), run("finished")) == [-0.8, -0.7, -0.7]


def test_without_any_value_all_are_equal() -> None:
    assert losses(ACCURACY, run("finished"), run("crashed", math.nan)) == [0.0, 0.0]


@pytest.mark.parametrize("state", ["running", "pending", "preempting", "preempted"])
def test_runs_under_way_have_no_loss_yet(state: str) -> None:
    assert losses(ACCURACY, run("finished", 0.9), run(state, 0.95)) == [-0.9, None]


def test_running_runs_count_where_the_sweep_says_so() -> None:
    ended = run("finished", 0.9, 0.8)
    for how, expected in (("best", -0.85), ("latest", -0.7), ("worst", -0.7), ("false", None)):
        metric = {**ACCURACY, "impute_while_running": how}
        assert losses(metric, ended, run("running", 0.85, 0.7))[1] == expected
        assert losses(metric, ended, run("pending", 0.85))[1] is None


def test_a_diverged_run_is_bad_but_not_so_bad_that_the_good_ones_look_alike() -> None:
    """Best 0.99, median 0.98: anything below 0.98 - 3 * 0.01 is the same."""
    values = (0.99, 0.985, 0.98, 0.96, 0.1)
    expected = [-0.99, -0.985, -0.98, -0.96, -0.95]
    assert losses(ACCURACY, *(run("finished", v) for v in values)) == pytest.approx(expected)


def test_equal_scores_do_not_hide_a_worse_one() -> None:
    assert losses(ACCURACY, *(run("finished", v) for v in (0.9, 0.9, 0.9, 0.5))) == [-0.9, -0.9, -0.9, -0.5]


def test_a_broken_constraint_is_told_by_the_constraint_and_not_by_the_metric() -> None:
    ended = [run("finished", 0.9), run("finished", 0.8), run("finished", 0.7)]
    over = run("finished", **{"constraint/parameters": 1200})
    observed = observe(SPACE, [*ended, over], Metric.model_validate(ACCURACY))
    assert observed[3].loss == -0.8
    assert [o.feasible for o in observed] == [True, True, True, False]
    assert [o.constraints for o in observed] == [{"constraint/parameters": -1200.0}] * 3 + [
        {"constraint/parameters": 1200.0}
    ]


def test_constraints_are_read_from_rows_and_summary_the_last_one_counting() -> None:
    rows = [{"constraint/a": 5, "acc": 0.5}, {"constraint/a": -1, "constraint/b": math.nan}, {"constraint/b": 2}]
    trial = Trial("r", {"x": 0.5, "c": "a"}, "finished", rows, {"constraint/b": -3, "constraint/c": "much"})
    assert observe(SPACE, [trial], Metric.model_validate(ACCURACY))[0].constraints == {
        "constraint/a": -1.0,
        "constraint/b": -3.0,
    }


def test_an_infeasible_run_that_trained_keeps_its_own_score() -> None:
    trial = run("finished", 0.95, **{"constraint/parameters": 10})
    assert losses(ACCURACY, run("finished", 0.9), trial) == [-0.9, -0.95]


@pytest.mark.parametrize("params", [{}, {"x": 0.5}, {"x": 2.0, "c": "a"}, {"x": 0.5, "c": "z"}, {"x": None, "c": "a"}])
def test_runs_of_another_space_are_left_out(params: dict[str, Any]) -> None:
    assert observe(SPACE, [Trial("r", params, "finished", [{"acc": 0.9}])], Metric.model_validate(ACCURACY)) == []
