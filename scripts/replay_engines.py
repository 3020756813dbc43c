"""The searches that the replay compares: how each proposes trials, and how it selects its winner.

A proposal is the best configuration of the world by the engine's own acquisition. TPE is the exception: Optuna's
public sampler proposes any point, and the nearest configuration that is still untried is trained.
"""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

import numpy as np

from mnist_sweep.config import EPOCH_LIMIT
from mnist_sweep.search.gaussian_process import NoisyGaussianProcess
from scripts.replay_worlds import World
from scripts.table import SHORT_EPOCHS


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
