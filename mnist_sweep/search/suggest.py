"""Suggest the next trial of a sweep, and tell when there is none."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mnist_sweep.search import bayes, grid, noisy_bayes
from mnist_sweep.search.config import SweepConfig
from mnist_sweep.search.distributions import Discrete, key
from mnist_sweep.search.space import Space, read
from mnist_sweep.search.trial import Trial, metric_values

_ATTEMPTS = 64
_ENUMERABLE = 100_000


def suggest(config: SweepConfig, trials: Sequence[Trial], *, seed: int) -> dict[str, Any] | None:
    """The parameters of the next run, nested plain values, or None when a grid is exhausted.

    `trials` are all runs of the sweep so far, running and pending ones included, and any prior runs. The result is a
    function of the arguments alone. Random search draws with replacement, as W&B's does. Bayes gives a point that no
    trial has yet, unless a finite space has no such point left; where the sweep has a parameter `replicate`, it knows
    that its runs are noisy. Raises ValueError for a method that no search belongs to (`custom`).
    """
    if config.method == "grid":
        return grid.suggest(config, trials)
    if config.method == "custom":
        raise ValueError("method 'custom' makes no suggestions: use grid, random or bayes")
    space = read(config)
    rng = np.random.default_rng([seed % 2**63, len(trials)])

    def draw() -> list[Any]:
        return [p.draw(float(u)) for p, u in zip(space.parameters, rng.random(len(space.parameters)), strict=True)]

    if config.method == "random" or config.metric is None or not space.parameters:
        return space.nest(draw())
    if config.repeats_runs:
        found = noisy_bayes.suggest(config, trials, rng)
        return space.nest(draw()) if found is None else found
    values = bayes.suggest(space, trials, config.metric, int(rng.integers(2**31)))
    if values is not None:
        return space.nest(values)
    taken = {space.identity(trial.params) for trial in trials}
    for _ in range(_ATTEMPTS):
        values = draw()
        if tuple(map(key, values)) not in taken:
            return space.nest(values)
    return space.nest(_untaken(space, taken, rng) or draw())


def needs_model(config: SweepConfig, trials: Sequence[Trial]) -> bool:
    """Whether a suggestion may need a model of these trials, and with it PyTorch."""
    return config.method == "bayes" and config.metric is not None and len(trials) >= bayes.STARTUP


def grid_size(config: SweepConfig) -> int | None:
    """How many runs a grid sweep has; None for the other methods."""
    return grid.size(config) if config.method == "grid" else None


def target_reached(config: SweepConfig, trials: Sequence[Trial]) -> str | None:
    """Return the name of the first trial whose metric reached `metric.target`, or None.

    The sweep then hands out no further trial; running ones continue. A value counts wherever it is in the history.
    """
    metric = config.metric
    if metric is None or metric.target is None:
        return None
    for trial in trials:
        if any(not metric.goal.better(metric.target, v) for v in metric_values(trial, metric.name, metric.goal)):
            return trial.name
    return None


def _untaken(space: Space, taken: set[tuple[str, ...] | None], rng: Any) -> list[Any] | None:
    """A random one of the last free points of a small finite space, or None if there is none or it is not small."""
    levels = [p for p in space.parameters if isinstance(p, Discrete)]
    size = math.prod(p.count for p in levels)
    if len(levels) < len(space.parameters) or size > _ENUMERABLE:
        return None
    points = (grid.point(levels, number) for number in range(size))
    free = [values for values in points if tuple(map(key, values)) not in taken]
    return free[rng.integers(len(free))] if free else None
