"""Estimate how good a sweep's configurations are, without the luck of single runs."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from mnist_sweep import search
from mnist_sweep.config import NON_IDENTITY_FIELDS, ConfigError, RunConfig, parse_recorded
from mnist_sweep.errors import UserError
from mnist_sweep.metrics import VAL_ACCURACY
from mnist_sweep.review.records import RunRecord, SweepInfo, number
from mnist_sweep.review.status import Status, classify
from mnist_sweep.search.config import REPLICATE
from mnist_sweep.search.goal import Goal


class ForeignSweepError(UserError, ValueError):
    """A sweep of another program was given; the message is one line for people."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """A run that carries information about its configuration: it completed its training, or diverged."""

    record: RunRecord
    config: RunConfig
    value: float | None
    """The sweep's metric; None if the run diverged."""
    accuracy: float | None
    """Accuracy on the held-out images after the last epoch, a fraction; None if the run diverged."""


def check_fields(path: str, config: Mapping[str, Any]) -> None:
    """Raise ForeignSweepError if the sweep searches anything but fields of a RunConfig.

    Finals and confirmations train networks of this project. Without this check, they would train the default one.
    """
    unknown = [name for name in config.get("parameters") or {} if name not in RunConfig.model_fields]
    if unknown:
        raise ForeignSweepError(
            f"{path} is a sweep of another program: {', '.join(unknown)} cannot be set in a training of this project; "
            "finals and confirm only take sweeps of mnist_sweep.train"
        )


def results(records: Iterable[RunRecord], metric: str) -> Iterator[Result]:
    """Yield the runs that are results. Skip runs that are over budget, interrupted or still running."""
    for record in records:
        status, _ = classify(record, metric)
        value = number(record.summary.get(metric)) if status is Status.FINISHED else None
        config = _config(record)
        if config is not None and (value is not None or status is Status.DIVERGED):
            accuracy = None if value is None else number(record.summary.get(VAL_ACCURACY))
            yield Result(record=record, config=config, value=value, accuracy=accuracy)


def _config(record: RunRecord) -> RunConfig | None:
    try:
        return parse_recorded(record.config)
    except ConfigError:
        return None


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """How good one configuration is."""

    recipe: RunConfig
    value: float
    """Posterior mean of the sweep's metric."""
    accuracy: float | None
    """Posterior mean of the held-out accuracy, a fraction."""
    observed: float | None
    """Mean of the measured held-out accuracy over the trials, a fraction."""
    trials: tuple[RunConfig, ...]
    """The configuration's trials, each with its replicate and what it held out."""


def describe_trials(trials: Iterable[RunConfig], epochs: int) -> str:
    """Return how trials differ from whole trainings of `epochs` epochs: `5-epoch trials on 40,000 images`.

    Empty if they do not. Whole trainings hold out one fold.
    """
    trials = list(trials)
    lengths = sorted({trial.epochs for trial in trials})
    images = sorted({trial.training_images for trial in trials})
    text = "trials" if lengths == [epochs] else f"{', '.join(f'{length}-epoch' for length in lengths)} trials"
    if images != [RunConfig().training_images]:
        text += f" on {', '.join(f'{count:,}' for count in images)} images"
    return "" if text == "trials" else text


def estimate_configurations(info: SweepInfo, config: Mapping[str, Any], records: Iterable[RunRecord]) -> list[Estimate]:
    """Return a sweep's configurations that never diverged, the best first by the posterior mean of its metric.

    `config` is the sweep's own. Configurations without a posterior mean come last, by the mean of what was measured:
    no model covers a sweep of several metrics, or a run outside the ranges.
    """
    goal = Goal(info.goal)
    found = list(results(records, info.metric))
    groups: dict[RunConfig, list[Result]] = defaultdict(list)
    for result in found:
        groups[result.config.recipe].append(result)
    values = _posterior_means(config, found, info.metric, goal)
    accuracies = _posterior_means(config, found, VAL_ACCURACY, Goal.MAXIMIZE)
    estimates = []
    for recipe, group in groups.items():
        measured = [result.value for result in group if result.value is not None]
        if len(measured) < len(group):
            continue
        known = [result.accuracy for result in group if result.accuracy is not None]
        observed = fmean(known) if known else None
        estimates.append(
            Estimate(
                recipe=recipe,
                value=values.get(recipe, fmean(measured)),
                accuracy=accuracies.get(recipe, observed),
                observed=observed,
                trials=tuple(result.config for result in group),
            )
        )
    return sorted(estimates, key=lambda each: (each.recipe not in values, goal.to_loss(each.value)))


def _posterior_means(
    config: Mapping[str, Any], found: Sequence[Result], metric: str, goal: Goal
) -> dict[RunConfig, float]:
    """Return the posterior mean of a metric by recipe; nothing if no model covers the sweep.

    Several points of a sweep's space may be one recipe: points that differ in `seed`, or in the replicate that a value
    of `base` names. Their runs are pooled, or the luckiest one would speak for the recipe.
    """
    specs = config.get("parameters") or {}
    searched = {name: spec for name, spec in specs.items() if name not in NON_IDENTITY_FIELDS}
    recipes = {result.record.id: result.config.recipe for result in found}
    try:
        sweep = search.parse({**config, "parameters": searched, "metric": {"name": metric, "goal": str(goal)}})
        trials = [_trial(sweep, result, metric) for result in found]
        posterior = search.posterior(sweep, trials, configurations=recipes)
    except ValueError:
        return {}
    return {recipes[estimate.runs[0]]: estimate.mean for estimate in posterior}


def _trial(sweep: search.SweepConfig, result: Result, metric: str) -> search.Trial:
    given = result.record.config
    params = {name: given[name] for name in sweep.parameters if name in given}
    params[REPLICATE] = result.config.replicate
    summary = dict(result.record.summary)
    if result.value is None:
        summary.pop(metric, None)  # a diverged run keeps that of its last good epoch, which is no result
    return search.Trial(result.record.id, params, "finished", (), summary)
