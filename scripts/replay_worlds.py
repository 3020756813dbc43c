"""The worlds of the replay: configurations that can be trained, and the result of each training.

`table_world` holds real trainings only. `simulated_world` draws a function that agrees with them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from mnist_sweep.config import EPOCH_LIMIT, REPLICATES
from mnist_sweep.search import parse
from mnist_sweep.search.distributions import Discrete
from mnist_sweep.search.gaussian_process import NoisyGaussianProcess
from mnist_sweep.search.space import Space, read
from scripts.objective import rows
from scripts.table import FILE, PRECISION, SHORT_EPOCHS, draw_configurations, sweep_document

RESULTS = FILE.parent
SWEEPS = ("random", "random-finals", "onecycle-2", "onecycle-2-finals", "refine", "refine-2", "refine-finals")
"""Recorded sweeps with trainings in the space of the table."""
POOL = 600
"""Number of configurations in the simulated world."""
PER_CONFIGURATION = 3
"""Replicates of a configuration of the table, at both numbers of epochs."""
LEAST = 8
"""Fewest configurations of the table that a replay needs."""


@dataclass(frozen=True, kw_only=True)
class World:
    """The configurations that can be trained, and the result of each training."""

    encoded: Any
    """Shape (configurations, parameters)."""
    unordered: Sequence[bool]
    losses: Mapping[int, Any]
    """Epochs -> objective, shape (configurations, replicates); NaN if not trained."""
    seconds: Mapping[int, Any]
    """Epochs -> core-seconds, the same shape."""
    offsets: Mapping[int, Any]
    """Epochs -> objective of the average configuration on each replicate, shape (replicates,)."""
    truth: Any = None
    """True objectives less the average configuration's, shape (configurations,); None to judge by unseen replicates."""

    @property
    def count(self) -> int:
        return len(self.encoded)

    @property
    def whole_training(self) -> float:
        """Core-seconds of the average training of 15 epochs."""
        return float(np.nanmean(self.seconds[EPOCH_LIMIT]))

    def allowed(self, configuration: int) -> list[int]:
        """Return the replicates a search may use: the last known one is kept for judging if there is no truth."""
        known = np.flatnonzero(np.isfinite(self.losses[EPOCH_LIMIT][configuration])).tolist()
        return known if self.truth is not None else known[:-1]

    def gain(self, configuration: int, seen: set[int]) -> float:
        """Return by how much the true objective is below that of the average configuration."""
        if self.truth is not None:
            return -float(self.truth[configuration])
        unseen = [r for r in range(self.losses[EPOCH_LIMIT].shape[1]) if r not in seen]
        centred = self.losses[EPOCH_LIMIT][configuration, unseen] - self.offsets[EPOCH_LIMIT][unseen]
        return -float(np.nanmean(centred))


@cache
def space() -> Space:
    """Return the table's space."""
    return read(parse(sweep_document()))


def encode(values: Mapping[str, Any]) -> list[float] | None:
    """Return a configuration as the model sees it; None if it lies outside the space."""
    if any(values.get(path[0], constant) != constant for path, constant in space().fixed.items()):
        return None
    point = [p.encode(values.get(p.path[0])) for p in space().parameters]
    return None if any(x is None for x in point) else [x for x in point if x is not None]


def unordered() -> list[bool]:
    """Return for each parameter whether it is unordered."""
    return [isinstance(p, Discrete) and not p.ordered for p in space().parameters]


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One real training in the table's space."""

    point: tuple[float, ...]
    fold: str
    """What was held out, and the arithmetic: `0 float32`. Trainings of one fold share an offset."""
    objective: float


@cache
def recorded() -> list[Recorded]:
    """Return all real trainings of 15 epochs in the table's space: the sweeps of docs/results, and the table."""
    found = []
    for name in SWEEPS:
        for row in rows(RESULTS / f"{name}.jsonl"):
            config, summary = row["config"], row["summary"]
            in_space = (
                config.get("model") == "tiny" and not config.get("separable") and config.get("epochs") == EPOCH_LIMIT
            )
            point = encode(config) if in_space and "objective" in summary else None
            if point is not None:
                fold = f"{config['replicate']} bfloat16"
                found.append(Recorded(point=tuple(point), fold=fold, objective=summary["objective"]))
    for row in rows(FILE):
        point = encode(row["values"])
        if point is not None and row["epochs"] == EPOCH_LIMIT and not row["diverged"]:
            fold = f"{row['replicate']} {row['precision']}"
            found.append(Recorded(point=tuple(point), fold=fold, objective=row["objective"]))
    return found


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Measurements of real trainings that the simulated world uses."""

    version: int
    """Number of the table's trainings that they come from. Searches of another version are not compared."""
    process: NoisyGaussianProcess
    """Model of the objective at 15 epochs."""
    noise: float
    """Standard deviation of a training of 15 epochs after the effects of configuration and fold."""
    fold: float
    """Standard deviation of the folds' effects."""
    relation: Relation
    seconds: tuple[float, ...]
    """Core-seconds of 15 epochs, the mean of each configuration."""
    cost_ratio: float
    """Core-seconds of 5 epochs over those of 15."""
    points_per_loss: float
    """Points of held-out accuracy per unit of the objective: the slope over configurations."""


@cache
def measured() -> Measured:
    """Measure the real trainings."""
    whole = recorded()
    process = NoisyGaussianProcess(
        *([each.point for each in whole], [each.objective for each in whole]),
        *(unordered(), [each.fold for each in whole]),
    )
    table = table_cells()
    seconds, short_seconds = (table.seconds[epochs].mean(1) for epochs in (EPOCH_LIMIT, SHORT_EPOCHS))
    losses, layout = table.losses, _layout(table.losses[EPOCH_LIMIT])
    slope = np.polyfit(losses[EPOCH_LIMIT].mean(1), 100 * table.accuracies[EPOCH_LIMIT].mean(1), 1)[0]
    return Measured(
        version=2 * PER_CONFIGURATION * len(table.configurations),
        process=process,
        noise=layout["noise"],
        fold=layout["fold"],
        relation=relation(losses[SHORT_EPOCHS], losses[EPOCH_LIMIT]),
        seconds=tuple(seconds.tolist()),
        cost_ratio=float(short_seconds.mean() / seconds.mean()),
        points_per_loss=-float(slope),
    )


def _layout(table: Any) -> dict[str, float]:
    """Return the deviations of configurations, folds and noise of an array (configurations, replicates)."""
    count, replicates = table.shape
    residual = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
    noise = (residual**2).sum() / (count - 1) / (replicates - 1)
    signal = max(table.mean(1).var(ddof=1) - noise / replicates, 0.0)
    fold = max(table.mean(0).var(ddof=1) - noise / count, 0.0)
    return {"noise": math.sqrt(noise), "signal": math.sqrt(signal), "fold": math.sqrt(fold)}


@dataclass(frozen=True, kw_only=True)
class Cells:
    """The configurations of the table that have all of some trainings."""

    configurations: Sequence[int]
    losses: Mapping[int, Any]
    """Epochs -> objective, shape (configurations, replicates)."""
    accuracies: Mapping[int, Any]
    """Epochs -> held-out accuracy, a fraction, the same shape."""
    seconds: Mapping[int, Any]
    """Epochs -> core-seconds, the same shape."""
    values: Sequence[Mapping[str, Any]]


def table_cells() -> Cells:
    """Return the configurations of the table that have their first replicates at both numbers of epochs.

    Configurations with a diverged training are left out. Ends the program if there are fewer than `LEAST`.
    """
    found: dict[int, dict[tuple[int, int], Mapping[str, Any]]] = defaultdict(dict)
    for row in rows(FILE):
        if not row["diverged"] and row["precision"] == PRECISION:
            found[row["configuration"]][row["epochs"], row["replicate"]] = row
    wanted = [(epochs, r) for epochs in (EPOCH_LIMIT, SHORT_EPOCHS) for r in range(PER_CONFIGURATION)]
    complete = sorted(c for c, trained in found.items() if trained.keys() >= set(wanted))
    if len(complete) < LEAST:
        raise SystemExit(
            f"the table has {len(complete)} configurations with {PER_CONFIGURATION} replicates of both lengths, but a "
            f"replay needs at least {LEAST}"
        )

    def gather(name: str) -> dict[int, Any]:
        return {
            epochs: np.array([[found[c][epochs, r][name] for r in range(PER_CONFIGURATION)] for c in complete])
            for epochs in (EPOCH_LIMIT, SHORT_EPOCHS)
        }

    return Cells(
        configurations=complete,
        losses=gather("objective"),
        accuracies=gather("accuracy"),
        seconds=gather("core_seconds"),
        values=[found[c][wanted[0]]["values"] for c in complete],
    )


@dataclass(frozen=True, kw_only=True)
class Relation:
    """How the objective at 5 epochs relates to the one at 15, over configurations."""

    configurations: int
    correlation: float
    """Correlation of the true values, from -1 to 1."""
    interval: tuple[float, float]
    """95 % interval of the correlation, by a bootstrap over configurations."""
    signal_ratio: float
    """Deviation of the true objective between configurations: 5 epochs over 15."""
    noise_ratio: float
    """Deviation of the noise: 5 epochs over 15."""


def relation(short: Any, whole: Any, seed: int = 0) -> Relation:
    """Estimate the relation from the objectives at 5 and at 15 epochs, shapes (configurations, replicates).

    At least two replicates of each. Only products of different replicates enter, so neither the noise of a training
    nor the images of a fold count as agreement. Resamples without any signal are left out of the interval.
    """
    rng, count = np.random.default_rng(seed), len(whole)

    def correlation(chosen: Any) -> float:
        variances = _signal(short[chosen], short[chosen]), _signal(whole[chosen], whole[chosen])
        if min(variances) <= 0:
            return math.nan
        return max(-1.0, min(1.0, _signal(short[chosen], whole[chosen]) / math.sqrt(variances[0] * variances[1])))

    repeats = [correlation(rng.integers(0, count, count)) for _ in range(4000)]
    low, high = np.nanpercentile(repeats, [2.5, 97.5])
    noise = [_layout(table)["noise"] for table in (short, whole)]
    return Relation(
        configurations=count,
        correlation=correlation(np.arange(count)),
        interval=(float(low), float(high)),
        signal_ratio=math.sqrt(max(_signal(short, short), 0.0) / max(_signal(whole, whole), 1e-12)),
        noise_ratio=noise[0] / noise[1],
    )


def _signal(left: Any, right: Any) -> float:
    """Return the mean covariance, over configurations, of each replicate in `left` with each other one in `right`."""
    left, right = left - left.mean(0), right - right.mean(0)
    products = left.T @ right / (len(left) - 1)
    return float(products[np.eye(*products.shape) == 0].mean())


@cache
def pool() -> Any:
    """Return the encoded configurations of the simulated world, shape (POOL, parameters)."""
    return np.array([encode(values) for values in draw_configurations(POOL)], float)


def simulated_world(seed: int, correlation: float) -> World:
    """Return one world of the simulation. `correlation` relates the true objectives at 5 and at 15 epochs."""
    rng, known = np.random.default_rng([seed, 1]), measured()
    points = pool()
    truth = known.process.draw(points, rng)
    truth -= truth.mean()
    # A second function with the same lengths: the part of the short schedule's objective that the long one lacks.
    own = known.process.draw_prior(points, rng)
    own -= own.mean()
    mixed = correlation * truth / truth.std() + math.sqrt(1 - correlation**2) * own / own.std()
    short = mixed * truth.std() * known.relation.signal_ratio
    shape = (len(points), REPLICATES)
    folds = rng.normal(0, known.fold, REPLICATES)
    whole = truth[:, None] + folds + rng.normal(0, known.noise, shape)
    quick = short[:, None] + folds + rng.normal(0, known.noise * known.relation.noise_ratio, shape)
    seconds = rng.choice(known.seconds, len(points))[:, None] * np.ones(shape)
    return World(
        encoded=points,
        unordered=unordered(),
        losses={EPOCH_LIMIT: whole, SHORT_EPOCHS: quick},
        seconds={EPOCH_LIMIT: seconds, SHORT_EPOCHS: seconds * known.cost_ratio},
        offsets={EPOCH_LIMIT: folds, SHORT_EPOCHS: folds},
        truth=truth,
    )


def table_world(seed: int) -> World:
    """Return a random three quarters of the table's configurations, with the replicates in a random order.

    The first replicate is for trials, the last one is for judging, and finals use the other.
    """
    rng, table = np.random.default_rng([seed, 2]), table_cells()
    count = len(table.configurations)
    chosen = rng.permutation(count)[: max(LEAST, 3 * count // 4)]
    order = rng.permutation(PER_CONFIGURATION)
    losses = {epochs: values[chosen][:, order] for epochs, values in table.losses.items()}
    return World(
        encoded=np.array([encode(table.values[i]) for i in chosen], float),
        unordered=unordered(),
        losses=losses,
        seconds={epochs: values[chosen][:, order] for epochs, values in table.seconds.items()},
        offsets={epochs: values.mean(axis=0) for epochs, values in losses.items()},
    )
