"""What a configuration may say, that every violation is named at once, and that nothing of it is lost."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_sweep.search import ConfigurationError, Goal, check, grid_size, parse, suggest, warn
from mnist_sweep.search.specs import SPECS

VALID: dict[str, Any] = {
    "method": "bayes",
    "metric": {"name": "val/accuracy", "goal": "maximize"},
    "parameters": {"lr": {"min": 0.0, "max": 1.0}},
}


def parameters(method: str = "random", **specs: Any) -> dict[str, Any]:
    return {"method": method, "parameters": specs}


def test_a_full_configuration_is_valid() -> None:
    config = {
        "program": "train.py",
        "name": "all of it",
        "description": "…",
        "project": "p",
        "entity": "e",
        "command": ["${env}", "python", "${program}", "${args}"],
        "method": "bayes",
        "run_cap": 30,
        "metric": {
            "name": "loss",
            "goal": "minimize",
            "target": 0.1,
            "impute": "best",
            "impute_while_running": "latest",
        },
        "early_terminate": {"type": "hyperband", "min_iter": 3, "eta": 2, "strict": True},
        "parameters": {
            "a": {"distribution": "int_uniform", "min": 1, "max": 8},
            "b": {"distribution": "q_log_uniform_values", "min": 8, "max": 64, "q": 8},
            "c": {"distribution": "normal"},
            "d": {"distribution": "beta", "a": 2},
            "e": {"parameters": {"f": {"values": [None, [1], {"g": 1}]}, "h": {"value": False}}},
            "i": {"values": ["x", "y"], "probabilities": [0.25, 0.75]},
            "j-k.l": {"distribution": "constant", "value": 1},
        },
    }
    assert check(config) == []
    assert warn(parse(config)) == []
    assert suggest(parse(config), [], seed=0) is not None


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ("method: grid", "a sweep configuration is a mapping of keys to values, not 'method: grid'"),
        ({"parameters": {"a": {"value": 1}}}, "'method' is required: one of grid, random, bayes, custom"),
        ({**VALID, "method": "best"}, "method: 'best' is not one of grid, random, bayes, custom"),
        ({"method": "random"}, "'parameters' is required: what to search"),
        ({"method": "random", "parameters": {}}, "parameters: {} is not a mapping with at least one parameter"),
        ({**VALID, "metric": {"goal": "minimize"}}, "metric: 'name' is required, the key under which runs log it"),
        (
            {**VALID, "metric": {"name": "m", "goal": "max"}},
            "metric: goal 'max' is not one of minimize, maximize",
        ),
        ({**VALID, "metric": {"name": "m", "target": "x"}}, "metric: target 'x' is not a number"),
        (parameters(lr={"min": 2.0, "max": 1.0}), "parameter lr: min 2.0 is not less than max 1.0"),
        (parameters(lr={"min": "0.1", "max": 1}), "parameter lr: min '0.1' is not a number"),
        (
            parameters(lr={"min": 0.1}),
            "parameter lr: needs value, values, min and max, or a distribution, not {'min': 0.1}",
        ),
        (parameters(lr=0.1), "parameter lr: 0.1 is not a mapping; a fixed value is written as value: 0.1"),
        (
            parameters(lr={"distribution": "int_uniform", "min": 0.5, "max": 3}),
            "parameter lr: min 0.5 is not a whole number, as int_uniform requires",
        ),
        (
            parameters(lr={"min": 0, "max": 10**400}),
            f"parameter lr: max 1{'0' * 76}... is not a whole number, as int_uniform requires",
        ),
        (
            parameters(lr={"distribution": "log_uniform_values", "min": 0, "max": 1}),
            "parameter lr: min 0 is not a number above 0",
        ),
        (
            parameters(lr={"distribution": "uniform", "min": 0, "max": 1, "q": 0.1}),
            "parameter lr: 'q' is not a key of uniform; known are distribution, min, max",
        ),
        (
            parameters(lr={"distribution": "q_normal", "q": 0}),
            "parameter lr: q 0 is not a number above 0",
        ),
        (
            parameters(lr={"values": [1, 2], "probabilities": [1.0]}),
            "parameter lr: the 2 values have 1 probabilities",
        ),
        (
            parameters(lr={"values": [1, 2], "probabilities": [0.0, 0.0]}),
            "parameter lr: probabilities [0.0, 0.0] are all 0",
        ),
        (parameters(lr={"values": []}), "parameter lr: values [] is not a list with at least one value"),
        (parameters(lr={"values": 3}), "parameter lr: values 3 is not a list with at least one value"),
        (
            parameters(n={"parameters": {"lr": {"min": 1, "max": 0}}}),
            "parameter n.lr: min 1 is not less than max 0",
        ),
        (
            parameters("grid", lr={"min": 0.0, "max": 1.0}),
            "parameter lr: a grid cannot search uniform, only categorical, constant, int_uniform, q_uniform",
        ),
        (
            {"method": "bayes", "parameters": {"a": {"min": 0, "max": 1}}},
            "'metric' is required by method bayes: the name and goal of what to optimise",
        ),
        (
            VALID | {"parameters": {"replicate": {"min": 0.0, "max": 3.0}}},
            "parameter replicate: method bayes needs a finite number of replicates, not uniform: "
            "use values, or whole numbers as min and max",
        ),
        (
            VALID | {"parameters": {"replicate": {"parameters": {"fold": {"values": [0, 1]}}}}},
            "parameter replicate: method bayes needs a finite number of replicates, not a group of parameters: "
            "use values, or whole numbers as min and max",
        ),
        ({"metod": "random", "parameters": {"a": {"value": 0}}}, "'metod' is not a key: did you mean 'method'?"),
        (
            {"method": "random", "paramters": {"a": {"value": 0}}},
            "'paramters' is not a key: did you mean 'parameters'?",
        ),
        (
            {"method": "bayes", "metrik": {"name": "loss"}, "parameters": {"a": {"min": 0, "max": 1}}},
            "'metrik' is not a key: did you mean 'metric'?",
        ),
        (VALID | {"metric": {"nmae": "loss"}}, "metric: 'nmae' is not a key: did you mean 'name'?"),
    ],
)
def test_one_violation_gives_one_line(config: Any, line: str) -> None:
    assert check(config) == [line]


@pytest.mark.parametrize(
    "replicate",
    [
        {"value": 0},
        {"values": [0, 1], "probabilities": [0.5, 0.5]},
        {"min": 0, "max": 3},
        {"distribution": "q_uniform", "min": 0.0, "max": 3.0},
    ],
)
def test_replicates_are_a_finite_number(replicate: Any) -> None:
    assert check(VALID | {"parameters": {"replicate": replicate}}) == []


def test_only_bayes_gives_the_name_replicate_a_meaning() -> None:
    assert check(parameters(replicate={"min": 0.0, "max": 3.0})) == []


def test_all_violations_are_reported_at_once() -> None:
    config = {
        "method": "bayes",
        "run_cap": 1.5,
        "parameters": {"a": {"min": 3, "max": 1}, "b": {"distribution": "gauss"}, "": {"value": 0}},
    }
    lines = "\n".join(check(config))
    assert len(check(config)) == 5
    for word in ("bayes", "run_cap", "parameter a", "'gauss'", "parameter : a parameter's name"):
        assert word in lines


def test_a_custom_scheduler_may_bring_its_own_search_space_and_objectives() -> None:
    config = {
        "method": "custom",
        "metrics": [{"name": "val/accuracy", "goal": "maximize"}, {"name": "parameters", "goal": "minimize"}],
        "scheduler": {"engine": "optuna", "source": "pareto.py", "search_space": "space"},
    }
    assert check(config) == []
    assert check({**config, "method": "bayes"}) == ["'metrics' needs method custom, not 'bayes'"]
    with pytest.raises(ValueError, match="custom"):
        suggest(parse({**config, "parameters": {"a": {"value": 1}}}), [], seed=0)


def test_exponents_and_unknown_keys_are_warned_of_but_allowed() -> None:
    config = {
        "method": "random",
        "colour": "red",
        "runcap": 3,
        "metric": {"name": "loss", "goall": "maximize"},
        "parameters": {"lr": {"distribution": "log_uniform", "min": -9, "max": -2}},
    }
    assert check(config) == []
    assert warn(parse(config)) == [
        "'colour' is not a key of a sweep and is ignored",
        "'runcap' is not a key of a sweep and is ignored: did you mean 'run_cap'?",
        "metric: 'goall' is not a key and is ignored: did you mean 'goal'?",
        "parameter lr: the min and max of log_uniform are exponents of e; log_uniform_values takes the limits",
    ]


def test_the_sweep_files_of_this_repository_are_valid() -> None:
    files = sorted((Path(__file__).parents[3] / "sweeps").glob("*.yaml"))
    for file in files:
        config = yaml.safe_load(file.read_text())
        assert check(config) == [], file.name
        assert [line for line in warn(parse(config)) if "replicate" not in line] == [], file.name


def test_what_was_parsed_is_typed_and_what_was_given_is_kept_with_keys_that_nobody_knows() -> None:
    given = VALID | {"colour": {"red": [1, 2.0]}, "run_cap": 7, "early_terminate": {"type": "hyperband", "min_iter": 3}}
    config = parse(given)
    assert config.given == given
    assert [type(bound) for bound in config.given["colour"]["red"]] == [int, float]
    assert (config.method, config.run_cap, config.metric and config.metric.goal) == ("bayes", 7, Goal.MAXIMIZE)
    assert config.early_terminate is not None
    assert (config.early_terminate.min_iter, config.early_terminate.eta) == (3, 3)
    assert [(path, spec.distribution) for path, spec in config.leaves] == [(("lr",), "uniform")]
    with pytest.raises(ConfigurationError, match="run_cap: 0") as caught:
        parse(given | {"run_cap": 0.5, "method": "best"})
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("more", "here"),
    [
        ({}, True),
        ({"controller": {"type": "local"}}, False),
        ({"controller": {"type": "cloud"}}, True),
        ({"method": "custom"}, False),
        ({"scheduler": {"engine": "optuna"}}, False),
    ],
)
def test_who_searches(more: dict[str, Any], here: bool) -> None:
    assert parse(VALID | more).suggests is here


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
top = ("method", "metric", "metrics", "parameters", "early_terminate", "run_cap", "scheduler")
inner = ("distribution", "min", "max", "q", "mu", "sigma", "a", "b", "value", "values", "probabilities")
keys = st.sampled_from([*top, *inner, "name", "goal", "type", "eta", "s", "min_iter", "max_iter"])
words = st.sampled_from(["grid", "random", "bayes", "hyperband", "int_uniform", "q_uniform", "q_beta", "normal"])
configs = st.recursive(anything | words, lambda child: st.dictionaries(keys, child, max_size=6), max_leaves=20)


@settings(max_examples=300, deadline=None)
@given(config=configs)
def test_nonsense_is_answered_in_lines_and_never_with_an_exception(config: Any) -> None:
    lines = check(config)
    assert all(isinstance(line, str) and "\n" not in line for line in lines)
    if not lines and config["method"] in ("grid", "random"):
        assert (grid_size(parse(config)) is None) == (config["method"] == "random")
        assert suggest(parse(config), [], seed=0) is not None


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(sorted(SPECS)),
    spec=st.dictionaries(
        st.sampled_from(["min", "max", "q", "mu", "sigma", "a", "b"]), st.integers(-50, 50) | st.floats(), max_size=4
    ),
)
def test_whatever_passes_can_be_drawn(name: str, spec: dict[str, float]) -> None:
    config = {"method": "random", "parameters": {"x": {"distribution": name, **spec}}}
    if not check(config):
        params = suggest(parse(config), [], seed=1)
        assert params is not None
        assert abs(params["x"]) < float("inf")
