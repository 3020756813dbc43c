"""What the search sees of a run: its parameters, its state and the numbers it logged."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
    """What of a row, or of a summary, a search by that metric reads: the metric and the constraints."""
    return {key: value for key, value in row.items() if key == metric or key.startswith(CONSTRAINT_PREFIX)}


def finite(value: object) -> bool:
    """Whether `value` is a number that can be compared: no bool, no NaN, no infinity, nothing beyond a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def metric_history(trial: Trial, metric: str) -> list[float]:
    """The finite values of `metric` in the order they were logged."""
    return [float(row[metric]) for row in trial.history if finite(row.get(metric))]


def metric_values(trial: Trial, metric: str) -> list[float]:
    """All finite values of `metric`: its history, then its summary value."""
    values = metric_history(trial, metric)
    if finite(trial.summary.get(metric)):
        values.append(float(trial.summary[metric]))
    return values


def constraint_values(trial: Trial) -> dict[str, float]:
    """The last finite value of each `constraint/…` number, the summary counting as the last word."""
    return {
        key: float(value)
        for row in (*trial.history, trial.summary)
        for key, value in row.items()
        if key.startswith(CONSTRAINT_PREFIX) and finite(value)
    }
