"""The worlds of the replay: configurations that can be trained, and the result of each training.

`table_world` holds real trainings only. `simulated_world` draws a function that agrees with them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from mnist_sweep.config import REPLICATES
from scripts.replay_table import LEAST, PER_CONFIGURATION, encode, measured, table_cells, unordered
from scripts.table import KINDS, SHORT_WIDE, WHOLE, Kind, draw_configurations

POOL = 600
"""Number of configurations in the simulated world."""


@dataclass(frozen=True, kw_only=True)
class World:
    """The configurations that can be trained, and the result of each training."""

    encoded: Any
    """Shape (configurations, parameters)."""
    unordered: Sequence[bool]
    losses: Mapping[Kind, Any]
    """Objective, shape (configurations, replicates); NaN if not trained."""
    seconds: Mapping[Kind, Any]
    """Core-seconds, the same shape."""
    offsets: Mapping[Kind, Any]
    """Objective of the average configuration on each replicate, shape (replicates,)."""
    truth: Any = None
    """True objectives less the average configuration's, shape (configurations,); None to judge by unseen replicates."""

    @property
    def count(self) -> int:
        return len(self.encoded)

    @property
    def whole_training(self) -> float:
        """Core-seconds of the average training of 15 epochs."""
        return float(np.nanmean(self.seconds[WHOLE]))

    def allowed(self, configuration: int) -> list[int]:
        """Return the replicates a search may use: the last known one is kept for judging if there is no truth."""
        known = np.flatnonzero(np.isfinite(self.losses[WHOLE][configuration])).tolist()
        return known if self.truth is not None else known[:-1]

    def gain(self, configuration: int, seen: set[int]) -> float:
        """Return by how much the true objective is below that of the average configuration."""
        if self.truth is not None:
            return -float(self.truth[configuration])
        unseen = [r for r in range(self.losses[WHOLE].shape[1]) if r not in seen]
        centred = self.losses[WHOLE][configuration, unseen] - self.offsets[WHOLE][unseen]
        return -float(np.nanmean(centred))


@cache
def pool() -> Any:
    """Return the encoded configurations of the simulated world, shape (POOL, parameters)."""
    return np.array([encode(values) for values in draw_configurations(POOL)], float)


def simulated_world(seed: int, correlation: float | None = None) -> World:
    """Return one world of the simulation.

    Args:
        correlation: correlation of the true objectives of short and whole trainings; as measured by default.
    """
    rng, known = np.random.default_rng([seed, 1]), measured()
    points = pool()
    truth = known.process.draw(points, rng)
    truth -= truth.mean()
    # A second function with the same lengths: the part of a short training's objective that the whole one lacks.
    own = known.process.draw_prior(points, rng)
    own -= own.mean()
    shape = (len(points), REPLICATES)
    folds = rng.normal(0, known.fold, REPLICATES)
    seconds = rng.choice(known.seconds, len(points))[:, None] * np.ones(shape)
    losses = {WHOLE: truth[:, None] + folds + rng.normal(0, known.noise, shape)}
    costs = {WHOLE: seconds}
    for kind, found in known.relations.items():
        share = found.correlation if correlation is None else correlation
        mixed = share * truth / truth.std() + math.sqrt(1 - share**2) * own / own.std()
        short = mixed * truth.std() * found.signal_ratio
        losses[kind] = short[:, None] + folds + rng.normal(0, known.noise * found.noise_ratio, shape)
        costs[kind] = seconds * known.cost_ratios[kind]
    return World(
        encoded=points,
        unordered=unordered(),
        losses=losses,
        seconds=costs,
        offsets=dict.fromkeys(KINDS, folds),
        truth=truth,
    )


def table_world(seed: int) -> World:
    """Return a random three quarters of the table's configurations, with the replicates in a random order.

    The first replicate is for trials, the last one is for judging, and finals use the other. No trial holds out images
    that judge it.
    """
    rng, table = np.random.default_rng([seed, 2]), table_cells()
    count = len(table.configurations)
    chosen = rng.permutation(count)[: max(LEAST, 3 * count // 4)]
    order = rng.permutation(PER_CONFIGURATION)
    while not SHORT_WIDE.holds_out(int(order[0])).isdisjoint(WHOLE.holds_out(int(order[-1]))):
        order = rng.permutation(PER_CONFIGURATION)
    losses = {kind: values[chosen][:, order] for kind, values in table.losses.items()}
    return World(
        encoded=np.array([encode(table.values[i]) for i in chosen], float),
        unordered=unordered(),
        losses=losses,
        seconds={kind: values[chosen][:, order] for kind, values in table.seconds.items()},
        offsets={kind: values.mean(axis=0) for kind, values in losses.items()},
    )
