"""What the runs of a sweep teach the model: where each one lies, what it is worth, which constraints it breaks.

Scores follow W&B: a run counts with the best value of its history, and one that ended without a value gets the worst
value seen. What would mislead a model is kept from it: NaN and infinity, the distance between bad and worse, and any
judgement of a run that broke a constraint before it had a score.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from mnist_sweep.search.config import Metric
from mnist_sweep.search.space import Space, value_at
from mnist_sweep.search.trial import Trial, constraint_values, metric_history, metric_values

_BROKEN_OFF = ("failed", "crashed", "killed")
_REACH = 3.0  # how far beyond the median, in distances from best to median, a loss can be told from a worse one


_NONE = Trial("", {}, "pending")


@dataclass(frozen=True)
class Observation:
    """One run as the model sees it: its place per parameter, its loss (None while under way), its constraints."""

    encoded: tuple[float, ...]
    loss: float | None
    constraints: dict[str, float]
    trial: Trial = _NONE

    @property
    def feasible(self) -> bool:
        """Whether no constraint is above zero."""
        return all(value <= 0 for value in self.constraints.values())


def observe(space: Space, trials: Sequence[Trial], metric: Metric) -> list[Observation]:
    """The runs that lie in `space`, in their order, with losses to minimise whatever the goal.

    A loss is the run's own, if it has one. A run that ended without is as bad as the worst value any run ever logged,
    but one that broke a constraint is as good as the median run: what is bad about it, its constraint says. Losses are
    clipped from above, so that one diverged run does not flatten the differences between good ones. Every observation
    has a value for every constraint that any run reported; a run that did not report it kept it.
    """
    known = [(trial, places) for trial in trials if (places := _encode(space, trial)) is not None]
    to_loss = metric.goal.to_loss
    own = [to_loss(value) for trial, _ in known if (value := own_score(trial, metric)) is not None]
    middle, best = (median(own), min(own)) if own else (0.0, 0.0)
    limit = middle + _REACH * (middle - best) if best < middle else math.inf
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
    """Whether a run has an outcome for the model: it ended, or it is running and the sweep imputes running ones."""
    while_running = metric.impute_while_running not in ("false", False)
    return trial.state in ("finished", *_BROKEN_OFF) or (trial.state == "running" and while_running)


def own_score(trial: Trial, metric: Metric) -> float | None:
    """The score a run earned by its own values, or None if it counts with an imputed one or not yet.

    A finished run counts with its best value. One that broke off counts as `metric.impute` says, with its `best` or its
    `latest` value, or, by default, not by its own (`worst`); a running one as `metric.impute_while_running` says.
    """
    if not counts(trial, metric):
        return None
    how: str | bool = "best"
    if trial.state in _BROKEN_OFF:
        how = metric.impute
    elif trial.state == "running":
        how = metric.impute_while_running
    name = metric.name
    if how == "latest":
        return next(iter(metric_history(trial, name)[-1:]), None)
    values = metric_values(trial, name, metric.goal) if how == "best" else []
    return min(values, key=metric.goal.to_loss, default=None)


def _encode(space: Space, trial: Trial) -> tuple[float, ...] | None:
    """Where a trial lies in each dimension, or None if it lies outside: a run of another space teaches nothing."""
    places = [p.encode(value_at(trial.params, p.path)) for p in space.parameters]
    return None if any(p is None for p in places) else tuple(p for p in places if p is not None)


def _aligned(reported: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """The same constraints for every run; one not reported is kept by as much as runs typically are off its limit."""
    names = sorted({name for constraints in reported for name in constraints})
    typical = {name: -median(abs(c[name]) for c in reported if name in c) for name in names}
    return [typical | constraints for constraints in reported]
