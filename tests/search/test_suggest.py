"""Suggestions as the server asks for them: many agents, restarts, spaces that run out."""

import json
import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_sweep.search import SweepConfig, Trial, check, parse, suggest, target_reached

MIXED: dict[str, Any] = {
    "method": "bayes",
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {
        "x": {"min": 0.0, "max": 1.0},
        "width": {"min": 4, "max": 16},
        "kind": {"values": ["a", None, [1, 2]]},
        "nested": {
            "parameters": {"lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1}, "k": {"value": {}}}
        },
        "q": {"distribution": "q_normal", "mu": 3, "q": 0.5},
        "b": {"distribution": "q_beta", "a": 2, "b": 2, "q": 0.25},
    },
}
SMALL: dict[str, Any] = {
    "metric": {"name": "loss"},
    "parameters": {"a": {"values": [1, 2, 4]}, "b": {"min": 0, "max": 1}, "c": {"values": ["x", "y"]}},
}


def outcome(params: dict[str, Any], number: int) -> Trial:
    loss = (params.get("x", 0.5) - 0.3) ** 2 + abs(params.get("width", 8) - 9) / 10
    return Trial(str(number), json.loads(json.dumps(params)), "finished", [{"loss": loss}])


def sweep(config: dict[str, Any], n: int, seed: int = 0) -> list[Trial]:
    trials: list[Trial] = []
    while len(trials) < n:
        params = suggest(parse(config), trials, seed=seed)
        assert params is not None
        trials.append(outcome(params, len(trials)))
    return trials


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_the_same_question_has_the_same_answer_and_other_seeds_have_others(method: str) -> None:
    config = {**MIXED, "method": method}
    trials = sweep(config, 8)
    assert suggest(parse(config), trials, seed=1) == suggest(parse(config), trials, seed=1)
    assert suggest(parse(config), trials, seed=1) != suggest(parse(config), trials, seed=2)
    assert [t.params for t in sweep(config, 8)] == [t.params for t in trials]


def test_another_process_gives_the_same_answer() -> None:
    """A restarted server carries on as if nothing had happened; string hashes differ between processes."""
    trials = sweep(MIXED, 8)
    program = (
        "import json, sys; from mnist_sweep.search import Trial, parse, suggest;"
        "config, trials = json.load(sys.stdin);"
        "print(json.dumps(suggest(parse(config), [Trial(**t) for t in trials], seed=5)))"
    )
    asked = json.dumps([MIXED, [vars(t) for t in trials]])
    answer = subprocess.run([sys.executable, "-c", program], input=asked, capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == suggest(parse(MIXED), trials, seed=5)


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_suggestions_are_plain_nested_values(method: str) -> None:
    assert check(MIXED) == []
    for trial in sweep({**MIXED, "method": method}, 7):
        assert json.loads(json.dumps(trial.params)) == trial.params
        assert set(trial.params) == {"x", "width", "kind", "nested", "q", "b"}
        assert trial.params["nested"]["k"] == {}
        assert type(trial.params["width"]) is int
        assert trial.params["kind"] in MIXED["parameters"]["kind"]["values"]
        assert trial.params["q"] % 0.5 == 0


def test_a_finite_space_is_used_up_before_bayes_repeats_anything() -> None:
    config = {**SMALL, "method": "bayes"}
    seen = [json.dumps(t.params, sort_keys=True) for t in sweep(config, 12)]
    assert len(set(seen)) == 12
    assert suggest(parse(config), sweep(config, 12), seed=0) is not None


def test_random_draws_with_replacement_as_often_as_the_probabilities_say() -> None:
    """As W&B does: of 25 trials in a space of 15 points the likeliest value gets its 80 %, not what is left over."""
    likely = {"values": ["x", "y", "z"], "probabilities": [0.1, 0.1, 0.8]}
    config = {"method": "random", "parameters": {"kind": likely, "n": {"min": 1, "max": 5}}}
    drawn = [trial.params["kind"] for seed in range(8) for trial in sweep(config, 25, seed=seed)]
    assert 0.7 < drawn.count("z") / len(drawn) < 0.9


@pytest.mark.parametrize("ended", [0, 6])
def test_agents_asking_at_once_get_different_points(ended: int) -> None:
    config = {**SMALL, "method": "bayes"}
    trials = sweep(config, ended)
    while len(trials) < 12:
        params = suggest(parse(config), trials, seed=0)
        assert params is not None
        trials.append(Trial(str(len(trials)), params, "pending" if len(trials) % 2 else "running"))
    assert len({json.dumps(t.params, sort_keys=True) for t in trials}) == 12


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_constants_alone_can_be_run_again_and_again(method: str) -> None:
    config = {"method": method, "metric": {"name": "loss"}, "parameters": {"a": {"value": 1}}}
    assert [t.params for t in sweep(config, 7)] == [{"a": 1}] * 7


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["a", "b", "c"]), st.none() | st.floats() | st.text() | st.lists(st.none()))
    )
)
def test_runs_with_any_parameters_do_no_harm(odd: list[dict[str, Any]]) -> None:
    trials = [Trial(str(i), params, "finished", [{"loss": i}]) for i, params in enumerate(odd)]
    for method in ("grid", "random", "bayes"):
        params = suggest(parse({**SMALL, "method": method}), trials, seed=0)
        assert params is not None
        assert params["a"] in (1, 2, 4)


def test_importing_the_search_loads_no_optimiser() -> None:
    heavy = ("scipy", "torch", "optuna")
    program = f"import sys, mnist_sweep.search; print([m for m in {heavy} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def accuracies(name: str, *values: float) -> Trial:
    return Trial(name, {}, "running", [{"acc": value} for value in values])


def with_metric(metric: dict[str, Any] | None) -> SweepConfig:
    return parse({"method": "random", "parameters": {"x": {"value": 1}}} | ({"metric": metric} if metric else {}))


@pytest.mark.parametrize(("goal", "name"), [("maximize", "b"), ("minimize", "a"), (None, "a")])
def test_the_first_run_that_reached_it_is_named(goal: str | None, name: str) -> None:
    metric = {"name": "acc", "target": 0.5} | ({"goal": goal} if goal else {})
    assert (
        target_reached(
            with_metric(metric),
            [accuracies("z"), accuracies("a", 0.4), accuracies("b", 0.3, 0.5, 0.2), accuracies("c", 0.9)],
        )
        == name
    )


def test_nothing_is_reached_without_a_target_or_a_number() -> None:
    trials = [accuracies("a", 0.4), accuracies("b", math.nan, math.inf)]
    assert target_reached(with_metric({"name": "acc"}), trials) is None
    assert target_reached(with_metric(None), trials) is None
    assert target_reached(with_metric({"name": "acc", "goal": "maximize", "target": 0.5}), trials) is None
