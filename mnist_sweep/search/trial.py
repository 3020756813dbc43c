"""Describe a run as the search sees it: its parameters, its state and the numbers that it logged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mnist_sweep.search.goal import Goal
from mnist_sweep.search.metric import find_metric, finite

CONSTRAINT_PREFIX = "constraint/"
"""Numbers logged under this prefix are constraints: above zero means infeasible."""


@dataclass(frozen=True)
class Trial:
    """One run of a sweep, as plain data.

    `params` is nested like the sweep's `parameters`, with plain values at the leaves. `state` is a W&B run state.
    `history` are the logged rows, oldest first. Rows and `summary` may hold anything a run logs; only finite numbers
    count.
    """

    name: str
    params: Mapping[str, Any]
    state: str
    history: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    summary: Mapping[str, Any] = field(default_factory=dict)


def relevant(row: Mapping[str, Any], metric: str | None) -> dict[str, Any]:
    """Return the entries of a row or a summary that a search by this metric reads: the metric and the constraints."""
    return {
        key: value
        for key, value in row.items()
        if key.startswith(CONSTRAINT_PREFIX) or (metric is not None and f"{metric}.".startswith(f"{key}."))
    }


def metric_history(trial: Trial, metric: str) -> list[float]:
    """Return the finite values of a metric in the order they were logged."""
    return [value for row in trial.history if (value := find_metric(row, metric)) is not None]


def metric_values(trial: Trial, metric: str, goal: Goal) -> list[float]:
    """Return all finite values of a metric: its history, then its summary value."""
    last = find_metric(trial.summary, metric, goal)
    return metric_history(trial, metric) + ([] if last is None else [last])


def constraint_values(trial: Trial) -> dict[str, float]:
    """Return the last finite value of each `constraint/…` number; a value in the summary counts as the last."""
    return {
        key: float(value)
        for row in (*trial.history, trial.summary)
        for key, value in row.items()
        if key.startswith(CONSTRAINT_PREFIX) and finite(value)
    }
