"""What a sweep's configurations are believed to be worth, luck taken off: who is promising, and what may be claimed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from mnist_sweep import search
from mnist_sweep.config import ConfigError, RunConfig, parse
from mnist_sweep.metrics import VAL_ACCURACY
from mnist_sweep.review.records import RunRecord, SweepInfo, number
from mnist_sweep.review.status import Status, classify


@dataclass(frozen=True)
class Result:
    """A run that says something about its configuration: trained to its end, or diverged."""

    record: RunRecord
    config: RunConfig
    value: float | None
    """The sweep's metric; None where it diverged."""
    accuracy: float | None
    """On the held-out images after the last epoch, fraction; None where it diverged."""


def results(records: Iterable[RunRecord], metric: str) -> Iterator[Result]:
    """The runs that are results; those over budget, broken off or under way are passed over."""
    for record in records:
        kind, _ = classify(record, metric)
        value = number(record.summary.get(metric)) if kind is Status.FINISHED else None
        config = _config(record)
        if config is not None and (value is not None or kind is Status.DIVERGED):
            accuracy = None if value is None else number(record.summary.get(VAL_ACCURACY))
            yield Result(record, config, value, accuracy)


def _config(record: RunRecord) -> RunConfig | None:
    try:
        return parse({name: value for name, value in record.config.items() if name in RunConfig.model_fields})
    except ConfigError:
        return None


@dataclass(frozen=True)
class Estimate:
    """One configuration."""

    config: RunConfig
    """Its recipe: no replicate, no machine."""
    value: float
    """The sweep's metric, posterior mean."""
    accuracy: float | None
    """Held-out accuracy, posterior mean, fraction."""
    observed: float | None
    """Held-out accuracy as it was measured, mean over `runs`, fraction."""
    runs: int


def estimate_configurations(info: SweepInfo, config: Mapping[str, Any], records: Iterable[RunRecord]) -> list[Estimate]:
    """A sweep's configurations that never diverged, the best first by posterior mean of its metric.

    `config` is the sweep's own. What there is no model of (a sweep of several metrics, a run that the ranges do not
    hold) stands with the mean of what was measured of it, behind the others.
    """
    found = list(results(records, info.metric))
    groups: dict[str, list[Result]] = defaultdict(list)
    for result in found:
        groups[result.config.recipe.as_text()].append(result)
    whole = {words: group for words, group in groups.items() if all(result.value is not None for result in group)}
    values = _means(config, found, info.metric, info.goal)
    accuracies = _means(config, found, VAL_ACCURACY, "maximize")
    rows = []
    for words, group in whole.items():
        known = [result.accuracy for result in group if result.accuracy is not None]
        observed = fmean(known) if known else None
        plain = fmean(result.value for result in group if result.value is not None)
        value = values.get(words)
        row = Estimate(
            group[0].config.recipe,
            plain if value is None else value,
            accuracies.get(words, observed),
            observed,
            len(group),
        )
        rows.append((value is None, -info.sign * row.value, row))
    return [row for *_, row in sorted(rows, key=lambda each: each[:2])]


def _means(config: Mapping[str, Any], found: Sequence[Result], metric: str, goal: str) -> dict[str, float]:
    """The posterior mean of a metric by configuration (its words); empty where there is no model of it."""
    try:
        sought = search.parse({**config, "metric": {"name": metric, "goal": goal}})
        beliefs = search.posterior(sought, [_trial(sought, result) for result in found])
    except ValueError:
        return {}
    names = {result.record.id: result.config.recipe.as_text() for result in found}
    return {names[run]: belief.mean for belief in reversed(beliefs) for run in belief.runs}


def _trial(sought: search.SweepConfig, result: Result) -> search.Trial:
    given = result.record.config
    params = {name: given[name] for name in sought.parameters if name in given}
    return search.Trial(result.record.id, params, "finished", (), result.record.summary)
