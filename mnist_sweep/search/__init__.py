"""Decide what a sweep tries next and what it stops.

All functions are pure: they compute their answer from `(config, trials)` and a seed, without I/O or state, so that a
restart changes nothing. `parse` reads a configuration in W&B's form:
https://docs.wandb.ai/models/sweeps/sweep-config-keys
"""

from mnist_sweep.search.bayes import warm_up
from mnist_sweep.search.config import ConfigurationError, SweepConfig, check, parse, warn
from mnist_sweep.search.goal import Goal
from mnist_sweep.search.hyperband import stop
from mnist_sweep.search.metric import find_metric
from mnist_sweep.search.noisy_bayes import PosteriorEstimate, posterior
from mnist_sweep.search.repair import repair
from mnist_sweep.search.suggest import grid_size, needs_model, suggest, target_reached
from mnist_sweep.search.trial import Trial, relevant

__all__ = [
    "ConfigurationError",
    "Goal",
    "PosteriorEstimate",
    "SweepConfig",
    "Trial",
    "check",
    "find_metric",
    "grid_size",
    "needs_model",
    "parse",
    "posterior",
    "relevant",
    "repair",
    "stop",
    "suggest",
    "target_reached",
    "warm_up",
    "warn",
]
