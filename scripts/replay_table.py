"""What the recorded trainings say: noise, costs, and how short trainings relate to whole ones.

python -m scripts.replay_table      prints it, in ten seconds
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from mnist_sweep.config import FOLD_IMAGES, RunConfig, parse_recorded
from mnist_sweep.search import parse, racing
from mnist_sweep.search.distributions import Discrete
from mnist_sweep.search.gaussian_process import NoisyGaussianProcess
from mnist_sweep.search.space import Space, read
from scripts.objective import rows
from scripts.table import FILE, KINDS, PRECISION, SHORT, SHORT_WIDE, WHOLE, Kind, kind_of, sweep_document

RESULTS = FILE.parent
SWEEPS = ("random", "random-finals", "onecycle-2", "onecycle-2-finals", "refine", "refine-2", "refine-finals")
"""Recorded sweeps with trainings in the space of the table."""
PER_CONFIGURATION = 3
"""Replicates of a configuration of the table, of every kind."""
LEAST = 8
"""Fewest configurations of the table that a replay needs."""


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


def _whole_of_space(config: RunConfig) -> bool:
    """Return whether this is a training of the table's kind WHOLE: it has the defaults in all that is not searched."""
    searched = {path[0] for path in (*space().fixed, *(p.path for p in space().parameters))}
    return config.held_out_folds == WHOLE.held_out_folds and all(
        value == RunConfig.model_fields[name].default
        for name, value in config.recipe.model_dump().items()
        if name not in searched
    )


@cache
def recorded() -> list[Recorded]:
    """Return all real trainings of 15 epochs in the table's space: the sweeps of docs/results, and the table."""
    found = []
    for name in SWEEPS:
        for row in rows(RESULTS / f"{name}.jsonl"):
            objective = row["summary"].get("objective")
            if objective is None:  # over the limit, or diverged
                continue
            config = parse_recorded(row["config"])
            if _whole_of_space(config) and (point := encode(config.model_dump())) is not None:
                fold = f"{config.replicate} {config.precision}"
                found.append(Recorded(point=tuple(point), fold=fold, objective=objective))
    for row in rows(FILE):
        point = encode(row["values"])
        if point is not None and kind_of(row) == WHOLE and not row["diverged"]:
            fold = f"{row['replicate']} {row['precision']}"
            found.append(Recorded(point=tuple(point), fold=fold, objective=row["objective"]))
    return found


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Measurements of real trainings that the simulated world uses."""

    version: str
    """Digest of the trainings that they come from. Searches of another version are not compared."""
    process: NoisyGaussianProcess
    """Model of the objective at 15 epochs."""
    noise: float
    """Standard deviation of a training of 15 epochs after the effects of configuration and fold."""
    fold: float
    """Standard deviation of the folds' effects."""
    relations: Mapping[Kind, Relation]
    """How short trainings relate to whole ones."""
    seconds: tuple[float, ...]
    """Core-seconds of a whole training, the mean of each configuration."""
    cost_ratios: Mapping[Kind, float]
    """Core-seconds of a short training over those of a whole one."""
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
    seconds, whole_losses = table.seconds[WHOLE].mean(1), table.losses[WHOLE]
    noise = _noise(whole_losses)
    fold = math.sqrt(max(whole_losses.mean(0).var(ddof=1) - noise**2 / len(whole_losses), 0.0))
    slope = np.polyfit(whole_losses.mean(1), 100 * table.accuracies[WHOLE].mean(1), 1)[0]
    return Measured(
        version=_digest(whole, table),
        process=process,
        noise=noise,
        fold=fold,
        relations={kind: relation(table.losses[kind], table.losses[WHOLE], kind) for kind in (SHORT, SHORT_WIDE)},
        seconds=tuple(seconds.tolist()),
        cost_ratios={kind: float(table.seconds[kind].mean() / seconds.mean()) for kind in (SHORT, SHORT_WIDE)},
        points_per_loss=-float(slope),
    )


def _digest(whole: Sequence[Recorded], table: Cells) -> str:
    """Return eight hexadecimal digits that change if any training in use changes."""
    inputs = [[*each.point, each.fold, each.objective] for each in whole]
    cells = [part[kind].tolist() for part in (table.losses, table.accuracies, table.seconds) for kind in KINDS]
    return hashlib.sha256(json.dumps([inputs, cells]).encode()).hexdigest()[:8]


def _noise(losses: Any) -> float:
    """Return the standard deviation of a training, after the effects of configuration and fold."""
    return racing.noise({i: dict(enumerate(row)) for i, row in enumerate(losses.tolist())}).deviation


@dataclass(frozen=True, kw_only=True)
class Cells:
    """The configurations of the table that have all of some trainings."""

    configurations: Sequence[int]
    losses: Mapping[Kind, Any]
    """Objective, shape (configurations, replicates)."""
    accuracies: Mapping[Kind, Any]
    """Held-out accuracy, a fraction, the same shape."""
    seconds: Mapping[Kind, Any]
    """Core-seconds, the same shape."""
    values: Sequence[Mapping[str, Any]]


def table_cells() -> Cells:
    """Return the configurations of the table that have their first replicates of every kind.

    Configurations with a diverged training are left out. Ends the program if there are fewer than `LEAST`.
    """
    found: dict[int, dict[tuple[Kind, int], Mapping[str, Any]]] = defaultdict(dict)
    for row in rows(FILE):
        if not row["diverged"] and row["precision"] == PRECISION:
            found[row["configuration"]][kind_of(row), row["replicate"]] = row
    wanted = [(kind, r) for kind in KINDS for r in range(PER_CONFIGURATION)]
    complete = sorted(c for c, trained in found.items() if trained.keys() >= set(wanted))
    if len(complete) < LEAST:
        raise SystemExit(
            f"the table has {len(complete)} configurations with {PER_CONFIGURATION} replicates of each kind, but a "
            f"replay needs at least {LEAST}"
        )

    def gather(name: str) -> dict[Kind, Any]:
        return {
            kind: np.array([[found[c][kind, r][name] for r in range(PER_CONFIGURATION)] for c in complete])
            for kind in KINDS
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
    """How the objective of short trainings relates to that of whole ones, over configurations."""

    configurations: int
    correlation: float
    """Correlation of the true values, from -1 to 1."""
    interval: tuple[float, float]
    """95 % interval of the correlation, by a bootstrap over configurations."""
    signal_ratio: float
    """Deviation of the true objective between configurations: short over whole."""
    noise_ratio: float
    """Deviation of the noise: short over whole."""
    reliability: float
    """Correlation of one short training with the true value of the whole one."""


def relation(short: Any, whole: Any, kind: Kind, seed: int = 0) -> Relation:
    """Estimate the relation from the objectives of short and whole trainings, shapes (configurations, replicates).

    At least two replicates of each. Only products of different replicates that hold out different images enter, so
    neither the noise of a training nor the images of a fold count as agreement. Resamples without any signal are left
    out of the interval.

    Args:
        kind: the kind of the short trainings.
    """
    rng, count = np.random.default_rng(seed), len(whole)

    kinds, tables = (kind, WHOLE), (short, whole)
    pairs = {(i, j): _independent(tables[i], kinds[i], tables[j], kinds[j]) for i, j in ((0, 0), (1, 1), (0, 1))}

    def covariance(chosen: Any, i: int, j: int) -> float:
        return _signal(tables[i][chosen], tables[j][chosen], pairs[i, j])

    def variances(chosen: Any) -> tuple[float, float]:
        return covariance(chosen, 0, 0), covariance(chosen, 1, 1)

    def correlation(chosen: Any) -> float:
        if min(found := variances(chosen)) <= 0:
            return math.nan
        return max(-1.0, min(1.0, covariance(chosen, 0, 1) / math.sqrt(found[0] * found[1])))

    everything = np.arange(count)
    repeats = [correlation(rng.integers(0, count, count)) for _ in range(4000)]
    low, high = np.nanpercentile(repeats, [2.5, 97.5])
    noise = [_noise(table) for table in tables]
    signal, whole_signal = (max(variance, 0.0) for variance in variances(everything))
    found = correlation(everything)
    return Relation(
        configurations=count,
        correlation=found,
        interval=(float(low), float(high)),
        signal_ratio=math.sqrt(signal / whole_signal) if whole_signal else math.nan,
        noise_ratio=noise[0] / noise[1],
        reliability=found * math.sqrt(signal / (signal + noise[0] ** 2)),
    )


def _independent(left: Any, left_kind: Kind, right: Any, right_kind: Kind) -> Any:
    """Return which pairs of replicates have neither the seed nor a held-out image in common, shape (left, right)."""
    return np.array(
        [
            [i != j and left_kind.holds_out(i).isdisjoint(right_kind.holds_out(j)) for j in range(right.shape[1])]
            for i in range(left.shape[1])
        ]
    )


def _signal(left: Any, right: Any, pairs: Any) -> float:
    """Return the mean covariance over configurations of the pairs of replicates, shape (left, right)."""
    left, right = left - left.mean(0), right - right.mean(0)
    products = left.T @ right / (len(left) - 1)
    return float(products[pairs].mean())


def agreement(left: Any, left_kind: Kind, right: Any, right_kind: Kind) -> float:
    """Return the mean correlation over configurations of replicates without a common seed or held-out image."""
    pairs = _independent(left, left_kind, right, right_kind)
    return float(np.mean([np.corrcoef(left[:, i], right[:, j])[0, 1] for i, j in zip(*np.nonzero(pairs), strict=True)]))


def main() -> None:
    """Print noise, cost, agreement and relation of the table's kinds of training."""
    table, known, rng = table_cells(), measured(), np.random.default_rng(0)
    count = len(table.configurations)
    print(f"{count} configurations, {PER_CONFIGURATION} replicates. Noise {known.noise:.5f}, folds {known.fold:.5f}.")
    for kind in KINDS:
        own, whole = table.losses[kind], table.losses[WHOLE]
        resampled = [agreement(own[i], kind, own[i], kind) for i in (rng.integers(0, count, (2000, count)))]
        low, high = np.nanpercentile(resampled, [2.5, 97.5])
        print(f"{kind.epochs} epochs, {FOLD_IMAGES * kind.held_out_folds:,} held-out images:")
        print(f"  {table.seconds[kind].mean():.0f} core-seconds")
        print(f"  agreement of two replicates {agreement(own, kind, own, kind):.2f} ({low:.2f} to {high:.2f})")
        print(f"  with an unseen whole training {agreement(own, kind, whole, WHOLE):.2f}")
        if kind in known.relations:
            found = known.relations[kind]
            print(f"  true correlation {found.correlation:.2f} ({found.interval[0]:.2f} to {found.interval[1]:.2f})")
            print(f"  signal {found.signal_ratio:.2f} and noise {found.noise_ratio:.2f} of a whole training's")


if __name__ == "__main__":
    main()
