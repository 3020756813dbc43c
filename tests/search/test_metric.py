"""A metric is found wherever the client puts it."""

import math
from typing import Any

import pytest

from mnist_sweep.search import Goal, find_metric

FOUND: list[tuple[str, dict[str, Any], float]] = [
    ("loss", {"loss": 1}, 1.0),
    ("loss", {"loss": {"min": 1.0}}, 1.0),
    ("loss", {"loss.min": 1.0}, 1.0),
    ("loss.min", {"loss": {"min": 1.0}}, 1.0),
    ("loss", {"loss": {"last": 3.0, "min": 1.0, "max": 4.0}}, 1.0),
    ("loss", {"loss": {"best": 2.0, "last": 3.0}}, 2.0),
    ("loss", {"loss": {"mean": 2.0}}, 2.0),
    ("loss", {"loss": {"first": 2.0}}, 2.0),
    ("val.loss", {"val.loss": 1.0}, 1.0),
    ("val.loss", {"val": {"loss": 1.0}}, 1.0),
    ("val.loss", {"val": {"loss": {"min": 1.0}}}, 1.0),
    ("val.loss", {"val": {"acc": 2.0}, "val.loss": 1.0}, 1.0),
    ("a.b.c", {"a.b": {"c": 1.0}}, 1.0),
    ("a.b.c", {"a": {"x": 1}, "a.b": {"c": 1.0}}, 1.0),
    ("val/loss", {"val/loss": {"min": 1.0}}, 1.0),
]
ABSENT: list[tuple[str, dict[str, Any]]] = [
    ("loss", {}),
    ("val/loss", {"val": {"loss": 1.0}}),
    ("loss", {"loss": True}),
    ("loss", {"loss": "NaN"}),
    ("loss", {"loss": math.nan}),
    ("loss", {"loss": 10**400}),
    ("loss", {"loss": None}),
    ("loss", {"loss": {"_type": "image-file", "min": "0"}}),
    ("val.loss", {"val": [1.0]}),
]


@pytest.mark.parametrize(("name", "values", "expected"), FOUND)
def test_found(name: str, values: dict[str, Any], expected: float) -> None:
    assert find_metric(values, name) == expected


@pytest.mark.parametrize(("name", "values"), ABSENT)
def test_not_found(name: str, values: dict[str, Any]) -> None:
    assert find_metric(values, name) is None


def test_of_several_statistics_the_goal_decides() -> None:
    summary = {"score": {"min": 1.0, "max": 4.0, "last": 3.0}}
    assert find_metric(summary, "score", Goal.MAXIMIZE) == 4.0
    assert find_metric(summary, "score", Goal.MINIMIZE) == 1.0
