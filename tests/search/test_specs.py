"""The classes that describe one parameter."""

import math
from typing import Any

import pytest
from pydantic import ValidationError

from mnist_sweep.search.specs import SPECS, Range, Weighted, distribution, integer, show


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ({"value": 1}, "constant"),
        ({"values": [1]}, "categorical"),
        ({"values": [1], "probabilities": [1]}, "categorical_w_probabilities"),
        ({"min": 1, "max": 2}, "int_uniform"),
        ({"min": 1, "max": 2.0}, "uniform"),
        ({"distribution": "beta"}, "beta"),
        ({"min": 1}, None),
        ({}, None),
    ],
)
def test_a_distribution_is_named_or_inferred_as_by_wandb(spec: dict[str, Any], name: str | None) -> None:
    assert distribution(spec) == name


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("uniform", 1, 2),
        ("log_uniform_values", 1, 2),
        ("log_uniform", math.e, math.e**2),
        ("inv_log_uniform", math.e**-2, math.e**-1),
    ],
)
def test_bounds_are_values_whatever_the_file_gives(name: str, low: float, high: float) -> None:
    spec = SPECS[name].model_validate({"distribution": name, "min": 1, "max": 2})
    assert isinstance(spec, Range)
    assert spec.bounds == pytest.approx((low, high))


def test_every_distribution_has_a_class_that_refuses_unknown_keys() -> None:
    for name, model in SPECS.items():
        with pytest.raises(ValidationError, match="unknown"):
            model.model_validate({"distribution": name, "unknown": 1})


def test_probabilities_need_a_positive_sum_and_one_for_each_value() -> None:
    def weighted(*probabilities: float) -> Weighted:
        return Weighted(distribution="w", values=["a", "b"], probabilities=probabilities)

    assert weighted(80, 20).probabilities == (80, 20)
    for probabilities in ((0.0, 0.0), (1.0,), (1.0, -1.0)):
        with pytest.raises(ValidationError):
            weighted(*probabilities)


def test_a_long_value_is_shortened_in_messages() -> None:
    assert show("x") == "'x'"
    assert len(show("x" * 1000)) == 80


def test_a_bool_is_not_a_whole_number() -> None:
    assert integer(1)
    assert not integer(True)
    assert not integer(1.0)
