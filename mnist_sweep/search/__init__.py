"""What to try next in a sweep, and what to stop: pure functions of its configuration and its runs.

No I/O and no state: every answer is computed anew from `(config, trials)` and a seed, so that a restart changes
nothing. `config` is a W&B sweep configuration, https://docs.wandb.ai/models/sweeps/sweep-config-keys
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mnist_sweep.search import bayes, grid
from mnist_sweep.search.bayes import warm_up
from mnist_sweep.search.distributions import Levels, key
from mnist_sweep.search.hyperband import stop
from mnist_sweep.search.space import Space, read
from mnist_sweep.search.target import reached
from mnist_sweep.search.trial import Trial
from mnist_sweep.search.validate import check, warn

__all__ = ["Trial", "check", "grid_size", "reached", "stop", "suggest", "warm_up", "warn"]

_ATTEMPTS = 64
_ENUMERABLE = 100_000


def suggest(config: Mapping[str, Any], trials: Sequence[Trial], *, seed: int) -> dict[str, Any] | None:
    """The parameters of the next run, nested plain values, or None when a grid is exhausted.

    `trials` are all runs of the sweep so far, running and pending ones included, and any prior runs. The result is a
    function of the arguments alone. It is a point that no trial has yet, unless a finite space has no such point left;
    then random and bayes repeat themselves. `config` must pass `check`. Raises ValueError for a method that no search
    belongs to (`custom`).
    """
    method = config["method"]
    if method == "grid":
        return grid.suggest(config, trials)
    if method not in ("random", "bayes"):
        raise ValueError(f"method {method!r} suggests nothing by itself: use grid, random or bayes")
    import numpy as np

    space = read(config)
    rng = np.random.default_rng([seed % 2**63, len(trials)])
    taken = {space.identity(trial.params) for trial in trials}

    def draw() -> list[Any]:
        return [p.draw(float(u)) for p, u in zip(space.parameters, rng.random(len(space.parameters)), strict=True)]

    if method == "bayes" and space.parameters:
        values = bayes.suggest(space, trials, config["metric"], int(rng.integers(2**31)))
        if values is not None:
            return space.nest(values)
    for _ in range(_ATTEMPTS):
        values = draw()
        if tuple(map(key, values)) not in taken:
            return space.nest(values)
    return space.nest(_untaken(space, taken, rng) or draw())


def grid_size(config: Mapping[str, Any]) -> int | None:
    """How many runs a grid sweep has; None for the other methods."""
    return grid.size(config) if config["method"] == "grid" else None


def _untaken(space: Space, taken: set[tuple[str, ...] | None], rng: Any) -> list[Any] | None:
    """A random one of the last free points of a small finite space, or None if there is none or it is not small."""
    levels = [p for p in space.parameters if isinstance(p, Levels)]
    size = math.prod(p.count for p in levels)
    if len(levels) < len(space.parameters) or size > _ENUMERABLE:
        return None
    points = (grid.point(levels, number) for number in range(size))
    free = [values for values in points if tuple(map(key, values)) not in taken]
    return free[rng.integers(len(free))] if free else None
