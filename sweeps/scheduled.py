"""The search of scheduled.yaml: the local server's own, with its limit and its noise, for the client's scheduler."""

from collections.abc import Mapping
from typing import Any
from zlib import crc32

import optuna

from mnist_sweep import search
from mnist_sweep.config import parse
from mnist_sweep.search.optuna_sampler import Sampler


def study(sweep: Any) -> optuna.Study:
    """An Optuna study that searches as a `bayes` sweep of the local server does. `sweep` is W&B's SweepInfo."""
    given = {name: value for name, value in sweep.config.items() if name != "scheduler"}
    config = search.parse(given | {"method": "bayes"})
    goal = config.metric.goal if config.metric else "minimize"
    return optuna.create_study(direction=goal, sampler=Sampler(config, limits, seed=crc32(sweep.id.encode())))


def limits(params: Mapping[str, Any]) -> dict[str, float]:
    """How far the network is over the limit, counted without training it."""
    config = parse({**params, "over_budget": True})
    return {"parameters": config.parameters - (config.parameter_limit - 1)}
