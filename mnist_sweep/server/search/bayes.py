"""Bayesian search: Optuna's optimisers on the quantiles of the search space.

The study is rebuilt from the trials at every call, so that a suggestion depends on nothing but its arguments. Scores
follow W&B: the best value over a run's history counts, and runs that ended without one get an imputed score.
Constraints (`constraint/…`, above zero is infeasible) are learned by the sampler apart from the score.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mnist_sweep.server.search.distributions import Levels, Parameter
from mnist_sweep.server.search.space import Space, value_at
from mnist_sweep.server.search.trial import (
    STOPPED_STATES,
    Trial,
    constraint_values,
    metric_history,
    metric_values,
)

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial


def score(trial: Trial, metric: Mapping[str, Any], worst: float) -> float | None:
    """What a trial is worth to the model, or None while it is still under way.

    A finished run counts with its best value. One that failed, crashed or was killed counts as `metric.impute` says:
    `worst` (the default, whatever it logged), its own `best`, or its `latest` value. Without any value it is `worst`.
    """
    name, pick = metric["name"], _best(metric)
    values = metric_values(trial, name)
    how = "best"
    if trial.state in STOPPED_STATES:
        how = metric.get("impute", "worst")
    elif trial.state != "finished":
        how = metric.get("impute_while_running", "false")
        if trial.state != "running" or how in ("false", False):
            return None
    if how == "latest":
        values = metric_history(trial, name)[-1:]
    return pick(values) if values and how != "worst" else worst


def worst_seen(trials: Sequence[Trial], metric: Mapping[str, Any]) -> float:
    """The worst finite value that any ended run ever logged; 0 if none did."""
    ended = [t for t in trials if t.state == "finished" or t.state in STOPPED_STATES]
    values = [value for trial in ended for value in metric_values(trial, metric["name"])]
    return (min if metric.get("goal") == "maximize" else max)(values, default=0.0)


def _best(metric: Mapping[str, Any]) -> Any:
    return max if metric.get("goal") == "maximize" else min


def suggest(config: Mapping[str, Any], space: Space, trials: Sequence[Trial], seed: int) -> list[Any]:
    """Values for the parameters of `space`, in their order, chosen by the optimiser."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    names = ["/".join(p.path) for p in space.parameters]
    distributions = {name: _distribution(p) for name, p in zip(names, space.parameters, strict=True)}
    metric = config["metric"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        study = optuna.create_study(direction=metric.get("goal", "minimize"), sampler=sampler)
        study.add_trials(_observations(space, names, distributions, trials, metric))
        asked = study.ask(distributions).params
    return [p.pick(asked[name]) for name, p in zip(names, space.parameters, strict=True)]


def _distribution(parameter: Parameter) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(parameter, Levels) and not parameter.ordered:
        return CategoricalDistribution(range(parameter.count))
    return FloatDistribution(0.0, 1.0)


def _observations(
    space: Space,
    names: Sequence[str],
    distributions: "Mapping[str, BaseDistribution]",
    trials: Sequence[Trial],
    metric: Mapping[str, Any],
) -> "list[FrozenTrial]":
    from optuna.trial import TrialState, create_trial

    worst = worst_seen(trials, metric)
    constraints = [constraint_values(trial) for trial in trials]
    constrained = sorted({name for values in constraints for name in values})
    observations = []
    for trial, known in zip(trials, constraints, strict=True):
        located = [p.place(value_at(trial.params, p.path)) for p in space.parameters]
        if None in located:  # a run of another space: it says nothing about this one
            continue
        value = score(trial, metric, worst)
        observations.append(
            create_trial(
                state=TrialState.RUNNING if value is None else TrialState.COMPLETE,
                value=value,
                params=dict(zip(names, located, strict=True)),
                distributions=dict(distributions),
                constraints={name: known.get(name, 0.0) for name in constrained} if value is not None else None,
            )
        )
    return observations
