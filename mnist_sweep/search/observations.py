"""Turn the runs of a sweep into observations for a model: encoded parameters, loss and constraints.

Scores follow W&B: a run has the best value of its history, and a run that ended without a value has the worst value
seen. Three things would mislead a model and are removed: NaN and infinity, differences among very bad losses, and
imputed losses of runs that broke a constraint.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from mnist_sweep.search.config import Metric
from mnist_sweep.search.space import Space, value_at
from mnist_sweep.search.trial import Trial, constraint_values, metric_history, metric_values

_INCOMPLETE = ("failed", "crashed", "killed")
_CLIP = 3.0  # losses are clipped at the median plus this times the distance from the best to the median
_NONE = Trial("", {}, "pending")


@dataclass(frozen=True)
class Observation:
    """One run as a model sees it."""

    encoded: tuple[float, ...]
    """One number per parameter of the space, from `Parameter.encode`."""
    loss: float | None
    """What to minimise; None while the run has no outcome."""
    constraints: dict[str, float]
    """Every constraint of the sweep; above zero is infeasible."""
    trial: Trial = _NONE

    @property
    def feasible(self) -> bool:
        """Return whether no constraint is above zero."""
        return all(value <= 0 for value in self.constraints.values())


def observe(space: Space, trials: Sequence[Trial], metric: Metric) -> list[Observation]:
    """Return the observations of the runs that lie in `space`, in their order.

    The loss is the run's own score, if it has one. A run that ended without a score gets the worst value that any run
    logged. A run that broke a constraint gets the median instead: its constraint already says what is wrong with it.
    Losses are clipped from above, so that a diverged run does not hide the differences between good ones. A run that
    did not report a constraint of the sweep is taken to satisfy it.
    """
    known = [(trial, places) for trial in trials if (places := _encode(space, trial)) is not None]
    to_loss = metric.goal.to_loss
    own = [to_loss(value) for trial, _ in known if (value := own_score(trial, metric)) is not None]
    middle, best = (median(own), min(own)) if own else (0.0, 0.0)
    limit = middle + _CLIP * (middle - best) if best < middle else math.inf
    worst = max((to_loss(v) for t, _ in known for v in metric_values(t, metric.name, metric.goal)), default=0.0)
    constraints = _aligned([constraint_values(trial) for trial, _ in known])
    observations = []
    for (trial, places), bounds in zip(known, constraints, strict=True):
        value = own_score(trial, metric)
        loss = None
        if value is not None:
            loss = min(to_loss(value), limit)
        elif counts(trial, metric):
            loss = middle if any(bound > 0 for bound in bounds.values()) else min(worst, limit)
        observations.append(Observation(places, loss, bounds, trial))
    return observations


def counts(trial: Trial, metric: Metric) -> bool:
    """Return whether a run has an outcome: it ended, or it is running and the sweep imputes running ones."""
    while_running = metric.impute_while_running not in ("false", False)
    return trial.state in ("finished", *_INCOMPLETE) or (trial.state == "running" and while_running)


def own_score(trial: Trial, metric: Metric) -> float | None:
    """Return the score from a run's own values, or None if it has no outcome or an imputed one.

    A finished run has its best value. For one that failed, crashed or was killed, `metric.impute` decides: its `best`
    or `latest` value, or none (`worst`, the default). For a running one, `metric.impute_while_running` decides.
    """
    if not counts(trial, metric):
        return None
    how: str | bool = "best"
    if trial.state in _INCOMPLETE:
        how = metric.impute
    elif trial.state == "running":
        how = metric.impute_while_running
    name = metric.name
    if how == "latest":
        return next(iter(metric_history(trial, name)[-1:]), None)
    values = metric_values(trial, name, metric.goal) if how == "best" else []
    return min(values, key=metric.goal.to_loss, default=None)


def _encode(space: Space, trial: Trial) -> tuple[float, ...] | None:
    """Return a trial's encoded parameters, or None if it lies outside the space."""
    places = [p.encode(value_at(trial.params, p.path)) for p in space.parameters]
    return None if any(p is None for p in places) else tuple(p for p in places if p is not None)


def _aligned(reported: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """Return the same constraints for every run; an unreported one is satisfied by the median distance to its limit."""
    names = sorted({name for constraints in reported for name in constraints})
    typical = {name: -median(abs(c[name]) for c in reported if name in c) for name in names}
    return [typical | constraints for constraints in reported]
