"""What to try next in a sweep, and what to stop: pure functions of its configuration and its runs.

No I/O and no state: every answer is computed anew from `(config, trials)` and a seed, so that a restart changes
nothing. `parse` makes a configuration of a mapping as W&B has it: https://docs.wandb.ai/models/sweeps/sweep-config-keys
"""

import math
from collections.abc import Sequence
from typing import Any

from mnist_sweep.search import bayes, grid, noisy_bayes
from mnist_sweep.search.bayes import warm_up
from mnist_sweep.search.config import ConfigurationError, SweepConfig, check, parse, warn
from mnist_sweep.search.distributions import Discrete, key
from mnist_sweep.search.hyperband import stop
from mnist_sweep.search.noisy_bayes import PosteriorEstimate, posterior
from mnist_sweep.search.space import Space, read
from mnist_sweep.search.target import target_reached
from mnist_sweep.search.trial import Trial, relevant

__all__ = [
    "ConfigurationError",
    "PosteriorEstimate",
    "SweepConfig",
    "Trial",
    "check",
    "grid_size",
    "needs_model",
    "parse",
    "posterior",
    "relevant",
    "stop",
    "suggest",
    "target_reached",
    "warm_up",
    "warn",
]

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
        raise ValueError("method 'custom' suggests nothing by itself: use grid, random or bayes")
    import numpy as np

    space = read(config)
    rng = np.random.default_rng([seed % 2**63, len(trials)])

    def draw() -> list[Any]:
        return [p.draw(float(u)) for p, u in zip(space.parameters, rng.random(len(space.parameters)), strict=True)]

    if config.method == "random" or config.metric is None or not space.parameters:
        return space.nest(draw())
    if noisy_bayes.declared(config):
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


def _untaken(space: Space, taken: set[tuple[str, ...] | None], rng: Any) -> list[Any] | None:
    """A random one of the last free points of a small finite space, or None if there is none or it is not small."""
    levels = [p for p in space.parameters if isinstance(p, Discrete)]
    size = math.prod(p.count for p in levels)
    if len(levels) < len(space.parameters) or size > _ENUMERABLE:
        return None
    points = (grid.point(levels, number) for number in range(size))
    free = [values for values in points if tuple(map(key, values)) not in taken]
    return free[rng.integers(len(free))] if free else None
