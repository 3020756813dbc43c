"""When a sweep has found what it was looking for: `metric.target`."""

from collections.abc import Mapping, Sequence
from typing import Any

from mnist_sweep.search.trial import Trial, finite, metric_values


def reached(config: Mapping[str, Any], trials: Sequence[Trial]) -> str | None:
    """The name of the first run whose metric reached `metric.target`, or None.

    W&B then hands out no more runs and lets those under way end. A value counts wherever in a run's history it is.
    """
    metric = config.get("metric") or {}
    target = metric.get("target")
    if target is None or not finite(target):
        return None
    sign = -1 if metric.get("goal") == "maximize" else 1
    for trial in trials:
        if any(sign * value <= sign * target for value in metric_values(trial, metric["name"])):
            return trial.name
    return None
