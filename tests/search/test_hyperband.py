"""Hyperband, against brackets and thresholds worked out by hand."""

import math
from typing import Any

import pytest

from mnist_sweep.search import SweepConfig, Trial, parse, stop
from mnist_sweep.search.config import Hyperband
from mnist_sweep.search.hyperband import brackets


def run(name: str, *losses: Any, state: str = "running") -> Trial:
    return Trial(name, {}, state, [{"_step": i, "loss": loss} for i, loss in enumerate(losses)])


def config(goal: str = "minimize", **early: Any) -> SweepConfig:
    raw = {
        "method": "random",
        "metric": {"name": "loss", "goal": goal},
        "early_terminate": {"type": "hyperband", **early},
        "parameters": {"x": {"value": 0}},
    }
    return parse(raw)


@pytest.mark.parametrize(
    ("early", "expected"),
    [
        ({"min_iter": 3, "eta": 3}, [3, 9, 27, 81]),
        ({"min_iter": 3}, [3, 9, 27, 81]),
        ({"min_iter": 1, "eta": 1.5}, [1, 2, 3, 5]),  # 1, 1.5, 2.25, 3.375, 5.06 rounded down, each once
        ({"max_iter": 27, "s": 2, "eta": 3}, [3, 9]),
        ({"max_iter": 27, "s": 2}, [3, 9]),
        ({"max_iter": 18, "s": 2, "eta": 3}, [2, 6]),
        ({"max_iter": 5, "s": 2, "eta": 2}, [1, 2]),
        ({"max_iter": 49 * 49, "s": 2, "eta": 49}, [1, 49]),
        ({"max_iter": 9, "s": 10, "eta": 3}, [1, 3]),  # never below the first iteration
        ({"max_iter": 2, "s": 1, "eta": 3}, []),
        ({"max_iter": 10**30, "s": 10**9, "eta": 1e300}, []),
        ({"min_iter": 5, "eta": 1e308}, [5]),
        ({"min_iter": 1, "eta": 1.0000001}, [1]),  # and an answer in time
        ({"max_iter": 27, "s": 1, "min_iter": 5}, [9]),  # W&B lets max_iter decide
    ],
)
def test_brackets(early: dict[str, Any], expected: list[int]) -> None:
    assert brackets(Hyperband.model_validate({"type": "hyperband", **early}))[: len(expected)] == expected
    assert "min_iter" in early or brackets(Hyperband.model_validate({"type": "hyperband", **early})) == expected


def test_the_best_third_goes_on() -> None:
    """Bracket at iteration 2. Values there are 5, 6, 7, 8, 9, 10; rank 6/3 = 2 is 7: runs above 7 stop."""
    runs = [run(str(loss), 11, loss) for loss in (8, 5, 10, 7, 9, 6)]
    reasons = stop(config(min_iter=2, eta=3), runs)
    mark = "the mark for the best 1/3 of 6 runs at iteration 2"
    assert sorted(reasons, key=int) == ["8", "9", "10"]
    assert reasons["8"] == "hyperband: loss at iteration 2 is 8, above 7, " + mark


def test_maximising_is_the_mirror_image() -> None:
    runs = [run(str(score), 0.1, score) for score in (0.8, 0.5, 0.95, 0.7, 0.9, 0.6)]
    reasons = stop(config("maximize", min_iter=2, eta=3), runs)
    assert sorted(reasons) == ["0.5", "0.6", "0.7"]
    assert "is 0.7, below 0.8" in reasons["0.7"]


def test_two_brackets_of_max_iter() -> None:
    """max_iter 9, eta 3, s 2: brackets 1 and 3.

    At 1 there are 9, 10, 8, 7, 6 and rank ⌊5/3⌋ = 1 is 7; at 3 there are 3, 4, 6 and rank ⌊3/3⌋ = 1 is 4. `b` fails the
    first; `c` failed it once but is past it and first at the second; `d` is on the mark; `e` fails the second.
    """
    runs = [
        run("a", 9, state="finished"),
        run("b", 10),
        run("c", 8, 8, 3),
        run("d", 7, 7, 4),
        run("e", 6, 6, 6),
    ]
    assert set(stop(config(max_iter=9, s=2, eta=3), runs)) == {"b", "e"}


def test_a_bracket_is_decided_at_the_row_of_its_number() -> None:
    good, bad = run("good", 1, 1, 1), run("bad", 9, 9)
    assert stop(config(min_iter=3), [good, bad]) == {}
    assert set(stop(config(min_iter=3), [good, run("bad", 9, 9, 9)])) == {"bad"}


def test_only_rows_with_the_metric_count_as_iterations() -> None:
    rows = [{"lr": 0.1}, {"loss": 9}, {"lr": 0.1}, {"loss": None}, {"loss": math.nan}, {"loss": "NaN"}, {"loss": 9}]
    other = Trial("other", {}, "running", rows)
    assert set(stop(config(min_iter=2), [run("good", 1, 1), other])) == {"other"}
    assert stop(config(min_iter=3), [run("good", 1, 1, 1), other]) == {}


def test_strict_looks_at_the_bracket_and_not_at_the_best_so_far() -> None:
    """Strict is the default, as in W&B's engine (`sweeps` 0.3.0), which stops `lucky` at this point."""
    runs = [run("good", 5, 5), run("lucky", 0, 9), run("short", 9)]
    assert set(stop(config(min_iter=2), runs)) == set(stop(config(min_iter=2, strict=True), runs)) == {"lucky"}
    assert stop(config(min_iter=2, strict=False), runs) == {}
    reasons = stop(config(min_iter=2, strict=False), [*runs, run("better", 4, 4), run("bad", 8, 7)])
    assert "best loss so far is 7, above 5" in reasons["bad"]


@pytest.mark.parametrize("state", ["finished", "failed", "crashed", "killed", "pending", "preempting", "preempted"])
def test_only_running_runs_are_stopped(state: str) -> None:
    assert stop(config(min_iter=1), [run("good", 1, 1), run("bad", 9, 9, state=state)]) == {}


def test_a_run_alone_goes_on() -> None:
    assert stop(config(min_iter=1), [run("alone", 9, 9, 9)]) == {}


def test_runs_without_the_metric_are_left_alone() -> None:
    assert stop(config(min_iter=1), [run("good", 1, 1), Trial("silent", {}, "running", [{"x": 1}] * 9)]) == {}


def test_no_early_terminate_stops_nothing() -> None:
    assert stop(parse({"method": "random", "parameters": {"x": {"value": 0}}}), [run("a", 1, 1), run("b", 9, 9)]) == {}


def test_too_few_iterations_for_any_bracket_stop_nothing() -> None:
    assert stop(config(max_iter=2, s=1, eta=3), [run("a", 1, 1), run("b", 9, 9)]) == {}
