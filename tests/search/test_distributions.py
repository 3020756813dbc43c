"""Distributions: what they may return, how often, and the way back from a value to where it lies."""

import json
import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mnist_sweep.search.config import parse
from mnist_sweep.search.distributions import Continuous, Discrete, Parameter, key
from mnist_sweep.search.distributions import parameter as read
from mnist_sweep.search.specs import SPECS, distribution

E = math.e
# One example of every searched distribution, with the same distribution from scipy or its probabilities.
CONTINUOUS: dict[str, tuple[dict[str, Any], Any]] = {
    "uniform": ({"min": -2, "max": 3.0}, stats.uniform(-2, 5)),
    "log_uniform": ({"min": -4, "max": 1}, stats.loguniform(E**-4, E)),
    "log_uniform_values": ({"min": 1e-4, "max": 1}, stats.loguniform(1e-4, 1)),
    "inv_log_uniform": ({"min": -1, "max": 4}, stats.loguniform(E**-4, E)),
    "inv_log_uniform_values": ({"min": 1e-4, "max": 1}, stats.loguniform(1e-4, 1)),
    "normal": ({"mu": 3, "sigma": 2}, stats.norm(3, 2)),
    "log_normal": ({"mu": 1, "sigma": 0.5}, stats.lognorm(0.5, scale=E)),
    "beta": ({"a": 2, "b": 5}, stats.beta(2, 5)),
}
QUANTISED: dict[str, tuple[dict[str, Any], Any]] = {
    "q_uniform": ({"min": 0, "max": 4, "q": 0.5}, stats.uniform(0, 4)),
    "q_log_uniform": ({"min": 0, "max": 3, "q": 2}, stats.loguniform(1, E**3)),
    "q_log_uniform_values": ({"min": 8, "max": 64, "q": 8}, stats.loguniform(8, 64)),
    "q_normal": ({"mu": 3, "sigma": 2, "q": 0.5}, stats.norm(3, 2)),
    "q_log_normal": ({"mu": 1, "sigma": 0.5, "q": 1}, stats.lognorm(0.5, scale=E)),
    "q_beta": ({"a": 2, "b": 5, "q": 0.1}, stats.beta(2, 5)),
}


def parameter(path: tuple[str, ...], spec: dict[str, Any]) -> Parameter:
    """The parameter of a sweep that has no other."""
    ((_, parsed),) = parse({"method": "random", "parameters": {".".join(path): spec}}).leaves
    return read(path, parsed)


def draws(spec: dict[str, Any], n: int = 4000) -> list[Any]:
    drawn = parameter(("x",), spec)
    return [drawn.draw(float(u)) for u in np.random.default_rng(0).random(n)]


def test_every_distribution_has_an_example_here() -> None:
    others = {"constant", "categorical", "categorical_w_probabilities", "int_uniform"}
    assert {*CONTINUOUS, *QUANTISED, *others} == set(SPECS)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_draws_follow_the_distribution(name: str) -> None:
    spec, expected = CONTINUOUS[name]
    assert stats.kstest(draws({"distribution": name, **spec}), expected.cdf).pvalue > 0.01


@pytest.mark.parametrize("name", QUANTISED)
def test_quantised_draws_are_multiples_as_often_as_the_distribution_rounds_to_them(name: str) -> None:
    spec, expected = QUANTISED[name]
    values, q = draws({"distribution": name, **spec}), spec["q"]
    assert all(math.isclose(v / q, round(v / q), abs_tol=1e-9) for v in values)
    assert {type(v) for v in values} == {type(q)}
    for value in set(values):
        probability = expected.cdf(value + q / 2) - expected.cdf(value - q / 2)
        observed = values.count(value) / len(values)
        assert abs(observed - probability) < 5 * math.sqrt(probability / len(values)) + 1e-3, value


@pytest.mark.parametrize("name", [*CONTINUOUS, *QUANTISED])
@settings(deadline=None)  # the first beta imports scipy
@given(u=st.floats(0, 1))
def test_draws_are_finite_plain_numbers_that_survive_json(name: str, u: float) -> None:
    spec = {**CONTINUOUS, **QUANTISED}[name][0]
    value = parameter(("x",), {"distribution": name, **spec}).draw(u)
    assert type(value) in (int, float)
    assert math.isfinite(value)
    assert json.loads(json.dumps(value)) == value


@given(low=st.floats(-1e6, 1e6), width=st.floats(1e-3, 1e6), u=st.floats(0, 1))
def test_uniform_stays_inside_its_bounds(low: float, width: float, u: float) -> None:
    high = low + width
    value = parameter(("x",), {"min": low, "max": high, "distribution": "uniform"}).draw(u)
    assert low <= value <= high


@given(low=st.floats(1e-12, 1e6), factor=st.floats(1.001, 1e9), u=st.floats(0, 1))
@pytest.mark.parametrize("name", ["log_uniform_values", "inv_log_uniform_values"])
def test_log_uniform_stays_inside_its_bounds(name: str, low: float, factor: float, u: float) -> None:
    high = low * factor
    value = parameter(("x",), {"distribution": name, "min": low, "max": high}).draw(u)
    assert low <= value <= high


@given(
    low=st.integers(-1000, 1000),
    width=st.integers(1, 1000),
    q=st.sampled_from([1, 2, 7, 0.1, 0.25, 3.5]),
    u=st.floats(0, 1),
)
def test_q_uniform_stays_inside_its_bounds_where_a_multiple_does(low: int, width: int, q: float, u: float) -> None:
    high = low + width
    value = parameter(("x",), {"distribution": "q_uniform", "min": low, "max": high, "q": q}).draw(u)
    inside = math.ceil(low / q) <= math.floor(high / q)
    assert low <= value <= high if inside else abs(value - low) <= q


@given(low=st.integers(-(10**6), 10**6), width=st.integers(1, 10**6), u=st.floats(0, 1))
def test_int_uniform_reaches_both_bounds_and_nothing_else(low: int, width: int, u: float) -> None:
    drawn = parameter(("x",), {"min": low, "max": low + width})
    assert isinstance(drawn, Discrete)
    assert low <= drawn.draw(u) <= low + width
    assert type(drawn.draw(u)) is int
    assert (drawn.draw(0.0), drawn.draw(1.0)) == (low, low + width)


def test_quantised_values_are_written_as_people_write_them() -> None:
    values = draws({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.1})
    assert set(values) == {0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0}


@pytest.mark.parametrize("name", [*CONTINUOUS, "q_log_uniform_values", "q_normal"])
@given(u=st.floats(0.001, 0.999))
def test_a_drawn_value_is_found_again(name: str, u: float) -> None:
    spec = {**CONTINUOUS, **QUANTISED}[name][0]
    drawn = parameter(("x",), {"distribution": name, **spec})
    assert isinstance(drawn, Continuous)
    place = drawn.encode(drawn.draw(u))
    assert place is not None
    assert drawn.decode(place) == pytest.approx(drawn.draw(u), abs=1e-9)
    if not drawn.tail and name in CONTINUOUS:
        assert place == pytest.approx(u, abs=1e-6)


def test_an_optimiser_stays_within_what_is_likely() -> None:
    drawn = parameter(("x",), {"distribution": "normal", "mu": 10, "sigma": 2})
    assert drawn.decode(0.0) == pytest.approx(10 - 2 * 3.09, abs=0.01)
    assert drawn.decode(1.0) == pytest.approx(10 + 2 * 3.09, abs=0.01)
    assert drawn.decode(0.5) == 10
    assert drawn.encode(50) == 1.0


@pytest.mark.parametrize("value", [None, "0.5", True, math.nan, math.inf, 2.0, -1, [0.5]])
def test_a_value_outside_is_not_located(value: object) -> None:
    drawn = parameter(("x",), {"min": 0.0, "max": 1.0})
    assert isinstance(drawn, Continuous)
    assert drawn.encode(value) is None


@pytest.mark.parametrize("value", [None, "4", True, math.nan, 9, 0.5, [4]])
def test_a_value_that_is_no_level_has_no_index(value: object) -> None:
    for spec in ({"min": 1, "max": 8}, {"distribution": "q_uniform", "min": 2, "max": 8}, {"values": [4, 8]}):
        drawn = parameter(("x",), spec)
        assert isinstance(drawn, Discrete)
        assert drawn.index(value) is None
        assert drawn.index(4) is not None


def test_categorical_values_may_be_anything() -> None:
    values = [None, True, 1, "1", [1, 2], {"a": [None]}, 0.5]
    drawn = parameter(("x",), {"values": values})
    assert isinstance(drawn, Discrete)
    assert [drawn.at(i) for i in range(drawn.count)] == values
    assert [drawn.index(v) for v in values] == list(range(len(values)))
    assert not drawn.ordered
    counts = [sum(1 for d in draws({"values": values}) if key(d) == key(v)) for v in values]
    assert stats.chisquare(counts).pvalue > 0.01


def test_numbers_lie_on_a_line_and_names_do_not() -> None:
    numbers, names = parameter(("x",), {"values": [64, 16, 32.0, 16]}), parameter(("x",), {"values": ["a", "b"]})
    assert isinstance(numbers, Discrete)
    assert isinstance(names, Discrete)
    assert [numbers.at(i) for i in range(numbers.count)] == [16, 32.0, 64]
    assert numbers.ordered
    assert not names.ordered


def test_probabilities_are_respected_and_an_impossible_value_is_never_drawn() -> None:
    spec = {"values": ["a", "b", "c", "a"], "probabilities": [0.1, 0.6, 0.0, 0.3]}
    values = draws(spec)
    assert "c" not in values
    assert stats.binomtest(values.count("a"), len(values), 0.4).pvalue > 0.01


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ({"value": 3}, "constant"),
        ({"values": [1, 2]}, "categorical"),
        ({"values": [1, 2], "probabilities": [0.5, 0.5]}, "categorical_w_probabilities"),
        ({"min": 1, "max": 2}, "int_uniform"),
        ({"min": 1, "max": 2.0}, "uniform"),
        ({"min": 1, "max": 2, "distribution": "uniform"}, "uniform"),
        ({}, None),
    ],
)
def test_a_missing_distribution_is_inferred(spec: dict[str, Any], name: str | None) -> None:
    assert distribution(spec) == name


def test_zero_sigma_is_the_mean() -> None:
    assert set(draws({"distribution": "normal", "mu": 2.5, "sigma": 0}, 10)) == {2.5}


def test_normal_tails_are_finite() -> None:
    assert NormalDist().cdf(parameter(("x",), {"distribution": "normal"}).draw(1.0)) > 0.999999
    huge = parameter(("x",), {"distribution": "log_normal", "mu": 700, "sigma": 50}).draw(1.0)
    assert math.isfinite(huge)


@given(st.one_of(st.integers(), st.floats(allow_nan=False), st.text(), st.booleans(), st.none()))
def test_a_key_survives_json(value: object) -> None:
    assert key(json.loads(json.dumps(value))) == key(value)


def test_keys_tell_types_apart_but_not_1_from_1_point_0() -> None:
    assert len({key(v) for v in (1, True, "1", None, [1], {"a": 1})}) == 6
    assert key(1) == key(1.0)
