"""When a sweep has found what it was looking for: `metric.target`."""

from collections.abc import Sequence

from mnist_sweep.search.config import SweepConfig
from mnist_sweep.search.trial import Trial, metric_values


def target_reached(config: SweepConfig, trials: Sequence[Trial]) -> str | None:
    """The name of the first run whose metric reached `metric.target`, or None.

    W&B then hands out no more runs and lets those under way end. A value counts wherever in a run's history it is.
    """
    metric = config.metric
    if metric is None or metric.target is None:
        return None
    for trial in trials:
        if any(metric.sign * value <= metric.sign * metric.target for value in metric_values(trial, metric.name)):
            return trial.name
    return None
