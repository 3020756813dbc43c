"""Find a metric in what a run logged.

A metric has a name, such as `loss` or `val.loss`. A run may report it in three forms:

- under its name: `{"val.loss": 1.0}`;
- nested: `{"val": {"loss": 1.0}}` for `val.loss` (`val/loss` is one flat name and never nested);
- as the statistics that `run.define_metric(name, summary="min")` puts in its place: `{"loss": {"min": 0.5}}`.
"""

import math
from collections.abc import Mapping
from typing import Any

from mnist_sweep.search.goal import Goal

_STATISTICS = {
    Goal.MINIMIZE: ("best", "min", "last", "mean", "max", "first"),
    Goal.MAXIMIZE: ("best", "max", "last", "mean", "min", "first"),
}


def find_metric(values: Mapping[str, Any], name: str, goal: Goal = Goal.MINIMIZE) -> float | None:
    """Return the finite number that a run reports for a metric, or None.

    Args:
        values: a run's summary or one row of its history, nested as logged or flat with dots in its keys.
        name: the metric's name.
        goal: decides between the statistics if the client reports several: the best one comes first.
    """
    for key in (name, *statistic_names(name, goal)):
        value = _lookup(values, key)
        if finite(value):
            return float(value)
    return None


def statistic_names(name: str, goal: Goal) -> tuple[str, ...]:
    """Return the names under which `run.define_metric` reports a metric, in the order of preference."""
    return tuple(f"{name}.{statistic}" for statistic in _STATISTICS[goal])


def finite(value: object) -> bool:
    """Return whether `value` is a number that can be compared: no bool, NaN or infinity, nothing beyond a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _lookup(values: Mapping[str, Any], name: str) -> Any:
    """Return the value under `name`, or under a path of keys that give `name` when joined with dots, else None."""
    if name in values:
        return values[name]
    for end, character in enumerate(name):
        if character == "." and isinstance(inner := values.get(name[:end]), Mapping):
            found = _lookup(inner, name[end + 1 :])
            if found is not None:
                return found
    return None
