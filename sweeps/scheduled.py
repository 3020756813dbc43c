"""Search of scheduled.yaml: the local server's search for the client's scheduler, with parameter limit and noise."""

from collections.abc import Mapping
from typing import Any
from zlib import crc32

import optuna

from mnist_sweep import search
from mnist_sweep.config import parse
from mnist_sweep.search.optuna_sampler import Sampler


def study(sweep: Any) -> optuna.Study:
    """Create an Optuna study that searches like a `bayes` sweep of the local server. `sweep` is W&B's SweepInfo."""
    settings = {name: value for name, value in sweep.config.items() if name != "scheduler"}
    config = search.parse(settings | {"method": "bayes"})
    goal = config.metric.goal if config.metric else "minimize"
    return optuna.create_study(direction=goal, sampler=Sampler(config, limits, seed=crc32(sweep.id.encode())))


def limits(params: Mapping[str, Any]) -> dict[str, float]:
    """Return by how many parameters the network exceeds the limit, counted without training."""
    config = parse({**params, "over_budget": True})
    return {"parameters": config.parameters - (config.parameter_limit - 1)}
