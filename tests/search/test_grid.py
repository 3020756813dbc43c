"""A grid visits every combination exactly once, in W&B's order."""

import itertools
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_sweep.search import Trial, check, grid_size, parse, suggest
from mnist_sweep.search.grid import axes_of, point, rank


def grid(**parameters: Any) -> dict[str, Any]:
    config = {"method": "grid", "parameters": parameters}
    assert check(config) == []
    return config


def visited(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Every suggestion until the grid ends; runs stay pending, as when many agents ask at once."""
    trials: list[Trial] = []
    while (params := suggest(parse(config), trials, seed=0)) is not None:
        # What the server stores and hands to the next call has been through JSON.
        trials.append(Trial(str(len(trials)), json.loads(json.dumps(params)), "pending"))
    return [dict(trial.params) for trial in trials]


def test_names_are_sorted_the_last_varies_fastest_and_values_keep_their_order() -> None:
    points = visited(grid(b={"values": [3, 1, 2]}, a={"values": ["y", "x"]}, c={"value": 0}))
    assert [(p["a"], p["b"], p["c"]) for p in points] == [
        ("y", 3, 0),
        ("y", 1, 0),
        ("y", 2, 0),
        ("x", 3, 0),
        ("x", 1, 0),
        ("x", 2, 0),
    ]


def test_nested_parameters_are_sorted_level_by_level() -> None:
    config = grid(
        z={"values": [1, 2]},
        n={"parameters": {"b": {"values": [3, 4]}, "a": {"parameters": {"x": {"min": 1, "max": 2}}}}},
    )
    assert visited(config) == [
        {"n": {"a": {"x": x}, "b": b}, "z": z} for x, b, z in itertools.product([1, 2], [3, 4], [1, 2])
    ]


def test_duplicates_are_visited_once() -> None:
    config = grid(a={"values": [1, 1.0, 2, 1, True, "1"]}, b={"values": [[1], [1], None, {"k": 1}, {"k": 1.5}]})
    assert grid_size(parse(config)) == 4 * 4
    assert len(visited(config)) == 16


def test_int_uniform_and_q_uniform_become_steps_as_in_wandb() -> None:
    """W&B's grid includes the last integer and leaves out the upper bound of q_uniform."""
    config = grid(i={"min": 2, "max": 4}, q={"distribution": "q_uniform", "min": 0, "max": 0.3, "q": 0.1})
    points = visited(config)
    assert sorted({p["i"] for p in points}) == [2, 3, 4]
    assert sorted({p["q"] for p in points}) == [0.0, 0.1, 0.2]
    assert len(points) == grid_size(parse(config)) == 9


def test_q_uniform_starts_at_its_lower_bound() -> None:
    points = visited(grid(q={"distribution": "q_uniform", "min": 5, "max": 26, "q": 8}))
    assert [p["q"] for p in points] == [5, 13, 21]
    assert all(type(p["q"]) is int for p in points)


def test_constants_alone_are_one_run() -> None:
    assert visited(grid(a={"value": 1}, b={"parameters": {"c": {"value": None}}})) == [{"a": 1, "b": {"c": None}}]


def test_a_run_beside_the_grid_takes_no_point() -> None:
    config = grid(a={"values": [1, 2]})
    beside = [Trial("r", params, "finished") for params in ({"a": 3}, {}, {"b": 1}, {"a": None}, {"a": {"x": 1}})]
    assert suggest(parse(config), beside, seed=0) == {"a": 1}
    assert suggest(parse(config), [*beside, Trial("s", {"a": 1, "extra": 9}, "crashed")], seed=0) == {"a": 2}


def test_a_point_given_up_is_suggested_again_when_its_run_is_gone() -> None:
    config = grid(a={"values": [1, 2, 3]})
    assert suggest(parse(config), [Trial("x", {"a": 2}, "running"), Trial("y", {"a": 3}, "running")], seed=0) == {
        "a": 1
    }


values = st.lists(
    st.one_of(
        st.none(), st.booleans(), st.integers(-3, 3), st.floats(-2, 2), st.text(max_size=2), st.lists(st.integers(0, 1))
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), values, min_size=1, max_size=3))
def test_every_combination_exactly_once(choices: dict[str, list[Any]]) -> None:
    config = grid(**{name: {"values": options} for name, options in choices.items()})
    points = visited(config)
    counts = Counter(json.dumps(p, sort_keys=True) for p in points)
    assert max(counts.values()) == 1
    assert len(points) == grid_size(parse(config))
    for combination in itertools.product(*(choices[name] for name in sorted(choices))):
        assert dict(zip(sorted(choices), combination, strict=True)) in points


@given(st.integers(0, 10**18 - 1))
def test_rank_and_point_are_inverse_on_a_grid_too_large_to_list(number: int) -> None:
    axes = axes_of(parse(grid(a={"min": 1, "max": 10**9}, b={"min": -(10**9) + 1, "max": 0})))
    a, b = point(axes, number)
    assert rank(axes, {"a": a, "b": b}) == number


def test_a_huge_grid_answers_at_once() -> None:
    config = grid(**{name: {"min": 1, "max": 10**9} for name in "abc"})
    assert grid_size(parse(config)) == 10**27
    assert suggest(parse(config), [], seed=0) == {"a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_only_a_grid_has_a_size(method: str) -> None:
    assert grid_size(parse({"method": method, "metric": {"name": "m"}, "parameters": {"a": {"values": [1]}}})) is None
