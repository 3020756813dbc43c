"""Replay searches on recorded trainings, and compare the true worth of their selections at equal cost.

    python -m scripts.replay --figure docs/images/replay.svg       all engines in the simulated world, half an hour
    python -m scripts.replay --repetitions 5 --engines random      a quick check, seconds
    python -m scripts.replay --world table                         the real trainings of docs/results/table.jsonl

Each repetition is one line of `docs/results/replay.jsonl`; the command skips those that the file holds. Delete lines
whose world or engine has changed.

A replayed search "trains" by looking up a training: it pays that training's core-seconds and learns its objective. It
is judged by the true objective of the configuration that it selects, relative to the average configuration.

- **table**: the trainings are real. The truth is the mean of the replicates, at 15 epochs, that the search never saw.
  Each repetition takes a random three quarters of the configurations and the replicates in random order.
- **simulated**: the table's space with POOL configurations. The truth is a function drawn from a Gaussian
  process fitted to all real trainings of this space, so it agrees with them and varies where there are none. The
  noise of a training, the effect of a fold, the relation of 5 to 15 epochs and the costs are measured.

A proposal is the best configuration of the world by the engine's own acquisition. TPE is the exception: Optuna's
public sampler proposes any point, and the nearest configuration that is still untried is trained.
"""

from __future__ import annotations

import argparse
import json
import math
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from mnist_sweep.config import EPOCH_LIMIT, REPLICATES
from mnist_sweep.search import parse
from mnist_sweep.search.distributions import Discrete
from mnist_sweep.search.gaussian_process import NoisyGaussianProcess
from mnist_sweep.search.racing import noise as residual_noise
from mnist_sweep.search.space import Space, read
from scripts.objective import rows
from scripts.table import FILE, SHORT_EPOCHS, draw_configurations, sweep_document

RESULTS = FILE.parent
ROWS = RESULTS / "replay.jsonl"
SWEEPS = ("random", "random-finals", "onecycle-2", "onecycle-2-finals", "refine", "refine-2", "refine-finals")
"""Recorded sweeps with trainings in the space of the table."""
CHECKPOINTS = (8, 16, 30, 60)
"""Budgets, in the cost of an average training of 15 epochs."""
POOL = 600
"""Number of configurations in the simulated world."""
CORRELATION = 0.8
"""Correlation of the true objectives at 5 and at 15 epochs over configurations, in the simulated world."""


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


@dataclass
class Session:
    """The state of one search: its trainings so far and their cost."""

    world: World
    rng: np.random.Generator
    configurations: list[int] = field(default_factory=list)
    replicates: list[int] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    spent: float = 0.0

    def train(self, configuration: int, replicate: int, epochs: int) -> None:
        """Look one training up and pay for it."""
        self.configurations.append(configuration)
        self.replicates.append(replicate)
        self.epochs.append(epochs)
        self.losses.append(float(self.world.losses[epochs][configuration, replicate]))
        self.spent += float(self.world.seconds[epochs][configuration, replicate])

    def copy(self) -> Session:
        """Return an independent session that continues from the same trainings."""
        return replace(
            self,
            rng=np.random.default_rng(int(self.rng.integers(2**31))),
            configurations=[*self.configurations],
            replicates=[*self.replicates],
            epochs=[*self.epochs],
            losses=[*self.losses],
        )

    def seen(self, configuration: int) -> set[int]:
        """Return the replicates of a configuration that were trained, at any number of epochs."""
        return {r for c, r in zip(self.configurations, self.replicates, strict=True) if c == configuration}

    def untried(self) -> Any:
        """Return the numbers of the configurations that were not trained."""
        return np.setdiff1d(np.arange(self.world.count), self.configurations)

    def model(self, *, with_epochs: bool = False) -> NoisyGaussianProcess:
        """Fit the process to all trainings.

        With epochs, they are one more parameter, and every fidelity has an offset of its own.
        """
        points = self.world.encoded[self.configurations]
        unordered = list(self.world.unordered)
        names = [str(r) for r in self.replicates]
        if with_epochs:
            points = np.column_stack([points, [epochs == EPOCH_LIMIT for epochs in self.epochs]])
            unordered.append(False)
            names = [f"{name} {epochs}" for name, epochs in zip(names, self.epochs, strict=True)]
        return NoisyGaussianProcess(points, self.losses, unordered, names)

    def reference(self) -> float:
        """Return what the average configuration would have had on the replicates of the longest trainings."""
        longest = max(self.epochs)
        pairs = zip(self.replicates, self.epochs, strict=True)
        return fmean(float(self.world.offsets[e][r]) for r, e in pairs if e == longest)


Proposer = Callable[[Session], Sequence[int]]
"""Which configurations to train next: one, or a batch of parallel trials."""


def batch_size(session: Session) -> int:
    """Return how many trials are proposed at once, as for parallel agents. Batches also keep the replay fast."""
    return max(1, len(session.losses) // 8)


def random_proposals(session: Session) -> Sequence[int]:
    """Return one untried configuration."""
    return [int(session.rng.choice(session.untried()))]


def wandb_proposals(session: Session) -> Sequence[int]:
    """Return the choice of W&B's published engine (package `sweeps` 0.3.0, `bayes_search.next_sample`).

    An isotropic Matérn 3/2 process without noise, and the expected improvement over the best observed value.
    """
    from scipy.stats import norm
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern

    free = session.untried()
    if len(session.losses) < 2:
        return random_proposals(session)
    y = np.array(session.losses)
    y = (y - y.mean()) / (y.std() + 1e-6)
    process = GaussianProcessRegressor(Matern(nu=1.5), alpha=1e-7, n_restarts_optimizer=2, random_state=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        process.fit(session.world.encoded[session.configurations], y)
    if np.isclose(process.kernel_.bounds, process.kernel_.theta[:, None]).any():
        return random_proposals(session)
    mean, deviation = process.predict(session.world.encoded[free], return_std=True)
    gap = y.min() - mean
    z = gap / (deviation + 1e-6)
    worth = gap * norm.cdf(z) + deviation * norm.pdf(z)
    return [int(i) for i in free[np.argsort(-worth)[: batch_size(session)]]]


def tpe_proposals(session: Session) -> Sequence[int]:
    """Return the untried configuration nearest to the proposal of Optuna's TPE."""
    import optuna
    from optuna.trial import create_trial

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    distributions = _optuna_distributions(session.world)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=int(session.rng.integers(2**31))))
    for configuration, loss in zip(session.configurations, session.losses, strict=True):
        point = session.world.encoded[configuration]
        params = {
            name: int(x) if session.world.unordered[i] else float(x)
            for i, (name, x) in enumerate(zip(distributions, point, strict=True))
        }
        study.add_trial(create_trial(value=loss, params=params, distributions=distributions))
    free, found = session.untried(), list[int]()
    for _ in range(batch_size(session)):
        distance = session.world.encoded[free] - np.array(list(study.ask(distributions).params.values()), float)
        distance[:, list(session.world.unordered)] = distance[:, list(session.world.unordered)] != 0
        found.append(int(free[np.argmin((distance**2).sum(1))]))
    return list(dict.fromkeys(found))


def _optuna_distributions(world: World) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {
        str(i): CategoricalDistribution([int(v) for v in np.unique(world.encoded[:, i])])
        if unordered
        else FloatDistribution(0.0, 1.0)
        for i, unordered in enumerate(world.unordered)
    }


def model_proposals(acquisition: str, startup: int) -> Proposer:
    """Return a proposer that fits the noisy process and proposes by `acquisition`.

    One of `thompson`, `improvement` (expected, over the best posterior mean), `fixed bound` (mean less one deviation),
    `bound` (mean less a random number of deviations, exponential with mean 1, for each trial) and `mean`.
    """

    def propose(session: Session) -> Sequence[int]:
        from scipy.stats import norm

        if len(session.losses) < startup:
            return random_proposals(session)
        free, model = session.untried(), session.model()
        batch = batch_size(session)
        points = session.world.encoded[free]
        mean, deviation = model.posterior(points)
        if acquisition == "thompson":
            some = np.r_[np.argsort(mean)[:100], session.rng.integers(0, len(free), 100)]
            found = [int(free[some[np.argmin(model.draw(points[some], session.rng))]]) for _ in range(batch)]
            return list(dict.fromkeys(found))
        if acquisition == "bound":
            weights = session.rng.exponential(size=batch)
            return list(dict.fromkeys(int(free[np.argmin(mean - weight * deviation)]) for weight in weights))
        if acquisition == "improvement":
            best = model.posterior(session.world.encoded[session.configurations])[0].min()
            z = (best - mean) / deviation
            worth = (best - mean) * norm.cdf(z) + deviation * norm.pdf(z)
        else:
            worth = -mean + (deviation if acquisition == "fixed bound" else 0.0)
        return [int(i) for i in free[np.argsort(-worth, kind="stable")[:batch]]]

    return propose


@dataclass(frozen=True)
class Selected:
    """The configuration that a search selects, and its claim."""

    configuration: int
    claim: float
    """The objective it claims less that of the average configuration on the same replicates; NaN if it claims none."""


def best_observed(session: Session) -> Selected:
    """Select the configuration with the lowest single objective, and claim that."""
    best = int(np.argmin(session.losses))
    return Selected(session.configurations[best], session.losses[best] - session.reference())


def best_posterior(session: Session) -> Selected:
    """Select the tried configuration with the lowest posterior mean, and claim that."""
    tried = np.unique(session.configurations)
    mean = session.model().posterior(session.world.encoded[tried])[0]
    best = int(np.argmin(mean))
    return Selected(int(tried[best]), float(mean[best]) - session.reference())


def observed_order(session: Session) -> list[int]:
    """Return the tried configurations, the lowest mean observed first."""
    losses: dict[int, list[float]] = defaultdict(list)
    for configuration, loss in zip(session.configurations, session.losses, strict=True):
        losses[configuration].append(loss)
    return sorted(losses, key=lambda configuration: fmean(losses[configuration]))


def posterior_order(session: Session) -> list[int]:
    """Return the tried configurations, the lowest posterior mean first."""
    if len(session.losses) < 5:
        return observed_order(session)
    tried = np.unique(session.configurations)
    return [int(i) for i in tried[np.argsort(session.model().posterior(session.world.encoded[tried])[0])]]


def halving(session: Session, order: Sequence[int], budget: float) -> Selected:
    """Run finals of 15 epochs by sequential halving (Karnin, Koren and Somekh 2013), on unused replicates.

    Every round costs the same. The claim is the winner's mean over all its finals.
    """
    world, end = session.world, session.spent + budget
    trainings = max(int(budget / world.whole_training), 1)
    field = list(order[: max(2, min(round(trainings / 2.5), 16))])
    rounds = max(1, math.ceil(math.log2(len(field))))
    used = {c: session.seen(c) for c in field}
    finals: dict[int, dict[int, float]] = {c: {} for c in field}
    for _ in range(rounds):
        for _ in range(max(1, trainings // (rounds * len(field)))):
            for configuration in field:
                free = [r for r in world.allowed(configuration) if r not in used[configuration]]
                if free and session.spent < end:
                    session.train(configuration, free[0], EPOCH_LIMIT)
                    used[configuration].add(free[0])
                    finals[configuration][free[0]] = session.losses[-1]
        place = {configuration: i for i, configuration in enumerate(field)}
        field.sort(key=lambda c: (_centred(world, finals[c]), place[c]))
        field = field[: max(1, len(field) // 2)]
    return Selected(field[0], _centred(world, finals[field[0]]))


def _centred(world: World, losses: Mapping[int, float]) -> float:
    """Return the mean of 15-epoch losses less the average configuration's on the same replicates; 0 without any."""
    return fmean(x - float(world.offsets[EPOCH_LIMIT][r]) for r, x in losses.items()) if losses else 0.0


def joint_search(session: Session, order: Sequence[int], budget: float) -> Selected:
    """Continue at 15 epochs with one model over configurations and epochs (as Kandasamy et al. 2017 do).

    Any configuration may be trained, or get its next replicate. Proposals are by `bound`. The winner has
    the lowest posterior mean at 15 epochs; the claim is how far that is below the mean of all configurations.
    """
    world, end = session.world, session.spent + budget
    points = np.column_stack([world.encoded, np.ones(world.count)])
    for configuration in order[:2]:
        _train_next(session, configuration)
    while session.spent < end:
        mean, deviation = session.model(with_epochs=True).posterior(points)
        weights = session.rng.exponential(size=max(1, session.epochs.count(EPOCH_LIMIT) // 4))
        proposed = list(dict.fromkeys(int(np.argmin(mean - weight * deviation)) for weight in weights))
        if sum(_train_next(session, configuration) for configuration in proposed) == 0:
            break
    mean = session.model(with_epochs=True).posterior(points)[0]
    best = min(set(session.configurations), key=lambda configuration: mean[configuration])
    return Selected(best, float(mean[best] - mean.mean()))


def _train_next(session: Session, configuration: int) -> bool:
    """Train the next unused replicate at 15 epochs; return whether there was one."""
    free = [r for r in session.world.allowed(configuration) if r not in session.seen(configuration)]
    if free:
        session.train(configuration, free[0], EPOCH_LIMIT)
    return bool(free)


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A search and its rule of selection."""

    propose: Proposer
    epochs: int = EPOCH_LIMIT
    """Epochs of the trials. Finals always train 15."""
    select: Callable[[Session], Selected] = best_observed
    """Rule of selection without finals."""
    order: Callable[[Session], list[int]] = posterior_order
    """Order in which configurations enter the finals."""
    finals: Callable[[Session, Sequence[int], float], Selected] | None = None
    share: float = 1 / 3
    """Share of the budget for finals."""


THOMPSON = model_proposals("thompson", 10)
ENGINES: dict[str, Engine] = {
    "random": Engine(propose=random_proposals),
    "random + finals": Engine(propose=random_proposals, order=observed_order, finals=halving),
    "W&B's rule": Engine(propose=wandb_proposals),
    "TPE": Engine(propose=tpe_proposals),
    "Thompson": Engine(propose=THOMPSON, select=best_posterior),
    "Thompson + finals": Engine(propose=THOMPSON, finals=halving),
    "random, model selects": Engine(propose=random_proposals, select=best_posterior),
    "improvement": Engine(propose=model_proposals("improvement", 10), select=best_posterior),
    "fixed bound": Engine(propose=model_proposals("fixed bound", 10), select=best_posterior),
    "mean": Engine(propose=model_proposals("mean", 10), select=best_posterior),
    "bound, 5 starts": Engine(propose=model_proposals("bound", 5), select=best_posterior),
    "bound, 20 starts": Engine(propose=model_proposals("bound", 20), select=best_posterior),
    "short random + finals": Engine(
        propose=random_proposals, epochs=SHORT_EPOCHS, order=observed_order, finals=halving
    ),
    "bound": Engine(propose=model_proposals("bound", 10), select=best_posterior),
    "short bound + finals": Engine(propose=model_proposals("bound", 10), epochs=SHORT_EPOCHS, finals=halving),
    "5 and 15 epochs, one model": Engine(
        propose=model_proposals("bound", 10), epochs=SHORT_EPOCHS, finals=joint_search, share=0.5
    ),
    "bound + finals": Engine(propose=model_proposals("bound", 10), finals=halving),
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One search at one budget."""

    budget: int
    """Budget in trainings of 15 epochs."""
    gain: float
    """True objective below the average configuration's."""
    claim: float
    """The claimed gain; NaN if there is none."""
    top: bool
    """Whether the selected configuration is truly among the best tenth of the world."""


def replay(engine: Engine, world: World, seed: int, checkpoints: Sequence[int] = CHECKPOINTS) -> list[Outcome]:
    """Run one search, and select at every checkpoint what would have been selected at that budget."""
    session = Session(world, np.random.default_rng(seed))
    best_tenth = _best_tenth(world)
    outcomes = []
    for checkpoint in checkpoints:
        budget = checkpoint * world.whole_training
        reserved = budget * engine.share if engine.finals is not None else 0.0
        queue: list[int] = []
        while session.spent < budget - reserved and len(session.untried()):
            queue = queue or list(engine.propose(session))
            configuration = queue.pop(0)
            session.train(configuration, world.allowed(configuration)[0], engine.epochs)
        fork = session.copy()
        if engine.finals is None:
            selected = engine.select(fork)
        else:
            selected = engine.finals(fork, engine.order(fork), budget - fork.spent)
        claim = -selected.claim if engine.epochs == EPOCH_LIMIT or engine.finals is not None else math.nan
        outcomes.append(
            Outcome(
                budget=checkpoint,
                gain=world.gain(selected.configuration, fork.seen(selected.configuration)),
                claim=claim,
                top=selected.configuration in best_tenth,
            )
        )
    return outcomes


def _best_tenth(world: World) -> set[int]:
    truth = world.truth
    if truth is None:
        truth = np.nanmean(world.losses[EPOCH_LIMIT] - world.offsets[EPOCH_LIMIT], axis=1)
    return set(np.argsort(truth)[: max(1, world.count // 10)].tolist())


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
    replicate: int
    epochs: int
    objective: float
    accuracy: float
    train_loss: float
    core_seconds: float | None


@cache
def recorded() -> list[Recorded]:
    """Return all real trainings in the table's space: the sweeps of docs/results, and the table."""
    found = []
    for name in SWEEPS:
        for row in rows(RESULTS / f"{name}.jsonl"):
            config, summary = row["config"], row["summary"]
            in_space = (
                config.get("model") == "tiny" and not config.get("separable") and config.get("epochs") == EPOCH_LIMIT
            )
            point = encode(config) if in_space and "objective" in summary else None
            if point is not None:
                found.append(
                    Recorded(
                        point=tuple(point),
                        replicate=config["replicate"],
                        epochs=EPOCH_LIMIT,
                        objective=summary["objective"],
                        accuracy=summary["val/accuracy"],
                        train_loss=summary["train/loss"],
                        core_seconds=None,
                    )
                )
    for row in rows(FILE):
        point = encode(row["values"])
        if point is not None and not row["diverged"]:
            found.append(
                Recorded(
                    point=tuple(point),
                    replicate=row["replicate"],
                    epochs=row["epochs"],
                    objective=row["objective"],
                    accuracy=row["accuracy"],
                    train_loss=row["train_loss_by_epoch"][-1],
                    core_seconds=row["core_seconds"],
                )
            )
    return found


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Measurements of real trainings that the simulated world uses."""

    process: NoisyGaussianProcess
    """Model of the objective at 15 epochs."""
    noise: float
    """Standard deviation of a training of 15 epochs after the effects of configuration and fold."""
    fold: float
    """Deviation of the folds' effects."""
    signal_ratio: float
    """Deviation of the true objective between configurations: 5 epochs over 15."""
    noise_ratio: float
    """Deviation of the noise: 5 epochs over 15."""
    seconds: tuple[float, ...]
    """Core-seconds of the trainings of 15 epochs."""
    cost_ratio: float
    """Core-seconds of 5 epochs over those of 15."""
    points_per_loss: float
    """Points of held-out accuracy per unit of the objective, over configurations."""


@cache
def measured() -> Measured:
    """Measure the real trainings."""
    whole = [each for each in recorded() if each.epochs == EPOCH_LIMIT]
    process = NoisyGaussianProcess(
        [each.point for each in whole],
        [each.objective for each in whole],
        unordered(),
        [str(each.replicate) for each in whole],
    )
    study = [row for row in rows(RESULTS / "objective.jsonl") if row["name"].startswith("drawn")]
    layouts = {epochs: _layout(study, epochs) for epochs in (SHORT_EPOCHS, EPOCH_LIMIT)}
    cells: dict[Any, dict[int, float]] = defaultdict(dict)
    for each in whole:
        cells[each.point][each.replicate] = each.objective
    for row in study:
        if row["config"]["epochs"] == EPOCH_LIMIT:
            cells[row["name"]][row["config"]["replicate"]] = row["calibrated_loss"]
    seconds = {
        epochs: [each.core_seconds for each in recorded() if each.epochs == epochs and each.core_seconds]
        for epochs in (SHORT_EPOCHS, EPOCH_LIMIT)
    }
    short, long = layouts[SHORT_EPOCHS], layouts[EPOCH_LIMIT]
    means = [
        (fmean(each.objective for each in group), 100 * fmean(each.accuracy for each in group))
        for group in _grouped(whole)
        if group[0].replicate == 0
    ]
    slope = float(np.polyfit(np.array(means)[:, 0], np.array(means)[:, 1], 1)[0])
    return Measured(
        process=process,
        noise=residual_noise(cells).deviation,
        fold=long["fold"],
        signal_ratio=short["signal"] / long["signal"],
        noise_ratio=short["noise"] / long["noise"],
        seconds=tuple(seconds[EPOCH_LIMIT]),
        cost_ratio=fmean(seconds[SHORT_EPOCHS]) / fmean(seconds[EPOCH_LIMIT]) if seconds[SHORT_EPOCHS] else 0.35,
        points_per_loss=-slope,
    )


def _grouped(found: Sequence[Recorded]) -> list[list[Recorded]]:
    groups: dict[Any, list[Recorded]] = defaultdict(list)
    for each in found:
        groups[each.point].append(each)
    return list(groups.values())


def _layout(study: Sequence[Mapping[str, Any]], epochs: int) -> dict[str, float]:
    """Return the deviations of configurations, folds and noise of a complete two-way layout."""
    cells: dict[str, dict[int, float]] = defaultdict(dict)
    for row in study:
        if row["config"]["epochs"] == epochs:
            cells[row["name"]][row["config"]["replicate"]] = row["calibrated_loss"]
    table = np.array([[losses[r] for r in sorted(losses)] for losses in cells.values()])
    count, replicates = table.shape
    residual = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
    noise = (residual**2).sum() / (count - 1) / (replicates - 1)
    signal = max(table.mean(1).var(ddof=1) - noise / replicates, 0.0)
    fold = max(table.mean(0).var(ddof=1) - noise / count, 0.0)
    return {"noise": math.sqrt(noise), "signal": math.sqrt(signal), "fold": math.sqrt(fold)}


@cache
def pool() -> Any:
    """Return the encoded configurations of the simulated world, shape (POOL, parameters)."""
    return np.array([encode(values) for values in draw_configurations(POOL)], float)


def simulated_world(seed: int, correlation: float = CORRELATION) -> World:
    """Return one world of the simulation."""
    rng, known = np.random.default_rng([seed, 1]), measured()
    points = pool()
    truth = known.process.draw(points, rng)
    truth -= truth.mean()
    # A second function with the same lengths: the part of the short schedule's objective that the long one lacks.
    own = known.process.draw_prior(points, rng)
    own -= own.mean()
    mixed = correlation * truth / truth.std() + math.sqrt(1 - correlation**2) * own / own.std()
    short = mixed * truth.std() * known.signal_ratio
    shape = (len(points), REPLICATES)
    folds = rng.normal(0, known.fold, REPLICATES)
    whole = truth[:, None] + folds + rng.normal(0, known.noise, shape)
    quick = short[:, None] + folds + rng.normal(0, known.noise * known.noise_ratio, shape)
    seconds = rng.choice(known.seconds, len(points))[:, None] * np.ones(shape)
    return World(
        encoded=points,
        unordered=unordered(),
        losses={EPOCH_LIMIT: whole, SHORT_EPOCHS: quick},
        seconds={EPOCH_LIMIT: seconds, SHORT_EPOCHS: seconds * known.cost_ratio},
        offsets={EPOCH_LIMIT: folds, SHORT_EPOCHS: folds},
        truth=truth,
    )


def table_world(seed: int, *, without: Sequence[int] = ()) -> World:
    """Return a random three quarters of the table's configurations, without those in `without`.

    Only configurations with at least two replicates at 15 epochs and one at 5 take part.
    """
    rng = np.random.default_rng([seed, 2])
    cells: dict[int, dict[int, dict[int, dict[str, Any]]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows(FILE):
        if not row["diverged"]:
            cells[row["configuration"]][row["epochs"]][row["replicate"]] = row
    complete = [c for c, found in cells.items() if len(found[EPOCH_LIMIT]) > 1 and 0 in found[SHORT_EPOCHS]]
    complete = [c for c in complete if c not in without]
    if len(complete) < 8:
        raise SystemExit(
            f"the table has {len(complete)} configurations with two replicates, but a replay needs at least 8"
        )
    chosen = sorted(rng.choice(complete, max(8, 3 * len(complete) // 4), replace=False).tolist())
    replicates = max(max(cells[c][EPOCH_LIMIT]) for c in chosen) + 1
    losses, seconds = {}, {}
    for epochs in (SHORT_EPOCHS, EPOCH_LIMIT):
        losses[epochs] = np.full((len(chosen), replicates), np.nan)
        seconds[epochs] = np.full((len(chosen), replicates), np.nan)
        for i, c in enumerate(chosen):
            for r, row in cells[c][epochs].items():
                losses[epochs][i, r], seconds[epochs][i, r] = row["objective"], row["core_seconds"]
    encoded = [encode(cells[c][EPOCH_LIMIT][0]["values"]) for c in chosen]
    return World(
        encoded=np.array(encoded, float),
        unordered=unordered(),
        losses=losses,
        seconds=seconds,
        offsets={epochs: np.nanmean(values, axis=0) for epochs, values in losses.items()},
    )


@dataclass(frozen=True, kw_only=True)
class Job:
    """One repetition of one engine in one world."""

    world: str
    """`table`, or `simulated 0.8` with the correlation of 5 and 15 epochs."""
    engine: str
    seed: int


def run(job: Job) -> dict[str, Any]:
    """Run one repetition and return its row: gains, claims and `top` by checkpoint."""
    kind, _, correlation = job.world.partition(" ")
    with threadpool_limits(1):
        world = table_world(job.seed) if kind == "table" else simulated_world(job.seed, float(correlation))
        outcomes = replay(ENGINES[job.engine], world, job.seed, CHECKPOINTS)
    return asdict(job) | {
        "budgets": list(CHECKPOINTS),
        "gains": [round(outcome.gain, 6) for outcome in outcomes],
        "claims": [None if math.isnan(outcome.claim) else round(outcome.claim, 6) for outcome in outcomes],
        "top": [int(outcome.top) for outcome in outcomes],
    }


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One engine at one budget; intervals are 95 %."""

    engine: str
    budget: int
    """Budget in trainings of 15 epochs."""
    repetitions: int
    gain: float
    """True gain over the average configuration, in units of the objective."""
    half: float
    """Half the width of its interval."""
    ratio: tuple[float, float, float]
    """Gain over that of the baseline, with its interval: a paired bootstrap over repetitions."""
    over: float
    """Claimed less true gain; NaN if nothing is claimed."""
    over_half: float
    top: float
    """Share of searches that select one of the best tenth."""
    top_half: float


def summarise(found: Sequence[Mapping[str, Any]], world: str, baseline: str = "random") -> list[Summary]:
    """Summarise the rows of one world. Ratios use the repetitions that the engine shares with the baseline."""
    by_engine: dict[str, dict[int, Mapping[str, Any]]] = defaultdict(dict)
    for row in found:
        if row["world"] == world:
            by_engine[row["engine"]][row["seed"]] = row
    rng, summaries = np.random.default_rng(0), []
    for engine in [name for name in ENGINES if name in by_engine]:
        runs, base = by_engine[engine], by_engine.get(baseline, {})
        shared = sorted(runs.keys() & base.keys())
        for i, budget in enumerate(CHECKPOINTS):
            gains = np.array([runs[seed]["gains"][i] for seed in sorted(runs)])
            claims = np.array([runs[seed]["claims"][i] or math.nan for seed in sorted(runs)])
            top = fmean(run["top"][i] for run in runs.values())
            ratio = (math.nan, math.nan, math.nan)
            if shared:
                pair = np.array([[runs[seed]["gains"][i], base[seed]["gains"][i]] for seed in shared])
                means = pair[rng.integers(0, len(pair), (4000, len(pair)))].mean(1)
                low, high = np.percentile(means[:, 0] / means[:, 1], [2.5, 97.5])
                ratio = (float(pair[:, 0].mean() / pair[:, 1].mean()), float(low), float(high))
            summaries.append(
                Summary(
                    engine=engine,
                    budget=budget,
                    repetitions=len(runs),
                    gain=float(gains.mean()),
                    half=_half(gains),
                    ratio=ratio,
                    over=float((claims - gains).mean()),
                    over_half=_half(claims - gains),
                    top=top,
                    top_half=1.96 * math.sqrt(top * (1 - top) / len(runs)),
                )
            )
    return summaries


def _half(values: Any) -> float:
    return float(1.96 * values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.inf


def table(summaries: Sequence[Summary], points_per_loss: float) -> Iterator[str]:
    """Yield the lines of a Markdown table; gains are in points of held-out accuracy."""
    yield "| search | budget | true gain | times random | claimed minus true | best tenth |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for each in summaries:
        gain, half = each.gain * points_per_loss, each.half * points_per_loss
        over, over_half = each.over * points_per_loss, each.over_half * points_per_loss
        claimed = "none" if math.isnan(over) else f"{over:+.3f} ± {over_half:.3f}"
        ratio, low, high = each.ratio
        yield (
            f"| {each.engine} | {each.budget} | {gain:.3f} ± {half:.3f} | {ratio:.1f} ({low:.1f} to {high:.1f}) "
            f"| {claimed} | {100 * each.top:.0f} ± {100 * each.top_half:.0f} % |"
        )


DRAWN = {
    "short bound + finals": ("#1f6feb", "5 epochs, model, finals at 15"),
    "bound": ("#8957e5", "15 epochs, model"),
    "random + finals": ("#bf8700", "15 epochs, random, finals"),
    "W&B's rule": ("#cf222e", "15 epochs, W&B's rule"),
    "TPE": ("#57606a", "15 epochs, TPE"),
    "random": ("#8c959f", "15 epochs, random"),
}
"""Engines in the figure: colour and label."""


def draw(summaries: Sequence[Summary], points_per_loss: float, minutes: float, world: str) -> str:
    """Return the figure as SVG: true gain against cost, with 95 % intervals and the name of the world."""
    width, height, left, right, top, bottom = 760, 420, 64, 210, 24, 56
    highest = max((each.gain + each.half) * points_per_loss for each in summaries if each.engine in DRAWN)

    def x(budget: float) -> float:
        low, high = math.log(CHECKPOINTS[0]), math.log(CHECKPOINTS[-1])
        return left + (math.log(budget) - low) / (high - low) * (width - left - right)

    def y(points: float) -> float:
        return height - bottom - points / highest * (height - top - bottom)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12"><rect width="{width}" height="{height}" fill="white"/>'
    ]
    for step in range(int(highest / 0.01) + 1):
        at = y(step / 100)
        parts.append(f'<path d="M{left} {at:.1f}H{width - right}" stroke="#d8dee4"/>')
        parts.append(f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{step / 100:.2f}</text>')
    for budget in CHECKPOINTS:
        parts.append(
            f'<text x="{x(budget):.1f}" y="{height - bottom + 18}" text-anchor="middle">{budget * minutes:.0f}</text>'
        )
    parts.append(
        f'<text x="{(left + width - right) / 2}" y="{height - 12}" text-anchor="middle">'
        "cost of search and finals, core-minutes (AVX-512)</text>"
        f'<text transform="translate(16 {(top + height - bottom) / 2}) rotate(-90)" text-anchor="middle">'
        "true gain over the average configuration, points</text>"
        f'<text x="{left + 8}" y="16" fill="#57606a">world: {world}</text>'
    )
    labels = []
    for place, (engine, (colour, label)) in enumerate(DRAWN.items()):
        own = [each for each in summaries if each.engine == engine]
        if not own:
            continue
        shift = (place - len(DRAWN) / 2) * 3  # the shift keeps intervals from hiding each other
        dots = [(x(each.budget) + shift, y(each.gain * points_per_loss), each) for each in own]
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b, _ in dots)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for a, _, each in dots:
            low, high = (y((each.gain + sign * each.half) * points_per_loss) for sign in (-1, 1))
            parts.append(f'<path d="M{a:.1f} {low:.1f}V{high:.1f}" stroke="{colour}" opacity="0.6"/>')
        labels.append((dots[-1][1], colour, label))
    lowest = 0.0
    for at, colour, label in sorted(labels):
        lowest = max(at, lowest + 16)
        parts.append(f'<text x="{width - right + 12}" y="{lowest + 4:.1f}" fill="{colour}">{label}</text>')
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    """Run the repetitions that the file lacks, print the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--world", choices=["simulated", "table"], default="simulated", help="world to search in (default %(default)s)"
    )
    parser.add_argument("--repetitions", type=int, default=48, help="searches per engine (default %(default)s)")
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES), help="default: all")
    parser.add_argument(
        "--correlation",
        type=float,
        default=CORRELATION,
        help="correlation of the objectives at 5 and 15 epochs, in the simulated world (default %(default)s)",
    )
    parser.add_argument("--jobs", type=int, default=1, help="parallel processes (default %(default)s)")
    parser.add_argument("--file", type=Path, default=ROWS, help="one line per repetition (default %(default)s)")
    parser.add_argument("--figure", type=Path, help="draw the true gain against the cost to this SVG file")
    arguments = parser.parse_args()
    world = "table" if arguments.world == "table" else f"simulated {arguments.correlation:g}"
    wanted = [
        Job(world=world, engine=engine, seed=seed)
        for engine in arguments.engines
        for seed in range(arguments.repetitions)
    ]
    present = {(row["world"], row["engine"], row["seed"]) for row in rows(arguments.file)}
    todo = [job for job in wanted if (job.world, job.engine, job.seed) not in present]
    with ProcessPoolExecutor(arguments.jobs) as executor, arguments.file.open("a") as out:
        for row in executor.map(run, todo):
            out.write(json.dumps(row) + "\n")
            out.flush()
    summaries = summarise(rows(arguments.file), world)
    minutes = fmean(measured().seconds) / 60
    print(f"World: {world}. Budgets are in whole trainings of {minutes:.1f} core-minutes.\n")
    print("\n".join(table(summaries, measured().points_per_loss)))
    if arguments.figure is not None:
        arguments.figure.write_text(draw(summaries, measured().points_per_loss, minutes, world))


if __name__ == "__main__":
    main()
