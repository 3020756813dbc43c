"""The searches that the replay compares: how each proposes trials, and how it selects its winner.

A proposal is the best configuration of the world by the engine's own acquisition. TPE is the exception: Optuna's
public sampler proposes any point, and the nearest configuration that is still untried is trained.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

import numpy as np

from mnist_sweep.search import racing
from mnist_sweep.search.gaussian_process import NoisyGaussianProcess
from mnist_sweep.search.noisy_bayes import STARTUP
from mnist_sweep.selection.finals import SHARE
from scripts.replay_worlds import World
from scripts.table import SHORT, SHORT_WIDE, WHOLE, Kind


@dataclass
class Session:
    """The state of one search: its trainings so far and their cost."""

    world: World
    rng: np.random.Generator
    configurations: list[int] = field(default_factory=list)
    replicates: list[int] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    spent: float = 0.0

    def train(self, configuration: int, replicate: int, kind: Kind) -> None:
        """Look one training up and pay for it."""
        self.configurations.append(configuration)
        self.replicates.append(replicate)
        self.kinds.append(kind)
        self.losses.append(float(self.world.losses[kind][configuration, replicate]))
        self.spent += float(self.world.seconds[kind][configuration, replicate])

    def copy(self) -> Session:
        """Return an independent session that continues from the same trainings."""
        return replace(
            self,
            rng=np.random.default_rng(int(self.rng.integers(2**31))),
            configurations=[*self.configurations],
            replicates=[*self.replicates],
            kinds=[*self.kinds],
            losses=[*self.losses],
        )

    def seen(self, configuration: int) -> set[int]:
        """Return the replicates of a configuration that were trained, of any kind."""
        return {r for c, r in zip(self.configurations, self.replicates, strict=True) if c == configuration}

    def untried(self) -> Any:
        """Return the numbers of the configurations that were not trained."""
        return np.setdiff1d(np.arange(self.world.count), self.configurations)

    def model(self, *, with_kind: bool = False) -> NoisyGaussianProcess:
        """Fit the process to all trainings.

        With the kind, it is one more parameter, and every kind has offsets of its own.
        """
        points = self.world.encoded[self.configurations]
        unordered = list(self.world.unordered)
        names = [str(r) for r in self.replicates]
        if with_kind:
            points = np.column_stack([points, [kind == WHOLE for kind in self.kinds]])
            unordered.append(False)
            names = [f"{name} {kind}" for name, kind in zip(names, self.kinds, strict=True)]
        return NoisyGaussianProcess(points, self.losses, unordered, names)

    def reference(self) -> float:
        """Return what the average configuration would have had on the replicates of the longest trainings."""
        longest = max(self.kinds)
        pairs = zip(self.replicates, self.kinds, strict=True)
        return fmean(float(self.world.offsets[kind][r]) for r, kind in pairs if kind == longest)


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


def bound_proposals(session: Session) -> Sequence[int]:
    """Return the choice of the local server's search: the best optimistic estimates, after ten random trials.

    Each is the posterior mean less a random number of deviations (exponential, mean 1).
    """
    if len(session.losses) < STARTUP:
        return random_proposals(session)
    free = session.untried()
    mean, deviation = session.model().posterior(session.world.encoded[free])
    weights = session.rng.exponential(size=batch_size(session))
    return list(dict.fromkeys(int(free[np.argmin(mean - weight * deviation)]) for weight in weights))


def thompson_proposals(session: Session) -> Sequence[int]:
    """Return the best of random functions that agree with the model, after ten random trials (Thompson sampling)."""
    if len(session.losses) < STARTUP:
        return random_proposals(session)
    free, model = session.untried(), session.model()
    points = session.world.encoded[free]
    some = np.r_[np.argsort(model.posterior(points)[0])[:100], session.rng.integers(0, len(free), 100)]
    draws = (model.draw(points[some], session.rng) for _ in range(batch_size(session)))
    return list(dict.fromkeys(int(free[some[np.argmin(draw)]]) for draw in draws))


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


def race(session: Session, order: Sequence[int], budget: float) -> Selected:
    """Run the finals of `mnist-sweep finals` for `budget` core-seconds, without a reference.

    All replicates are new: trials use the first one only. The winner is the best on the final's fresh replicates, over
    which it claims its mean.
    """
    world, losses = session.world, defaultdict[int, dict[int, float]](dict)
    trainings = max(2, int(budget / world.whole_training))
    rules = racing.plan(trainings, len(order), len(world.allowed(order[0])) - 1, first=1)
    while (stage := racing.next_stage(losses, order, rules)).missing:
        for configuration, place in stage.missing:
            replicate = world.allowed(configuration)[place]
            session.train(configuration, replicate, WHOLE)
            losses[configuration][place] = session.losses[-1] - float(world.offsets[WHOLE][replicate])
    means = {configuration: racing.mean(losses[configuration], rules.final) for configuration in stage.entrants}
    winner = min(means, key=lambda configuration: means[configuration])
    return Selected(winner, means[winner])


def joint_search(session: Session, order: Sequence[int], budget: float) -> Selected:
    """Continue at 15 epochs with one model over configurations and epochs (as Kandasamy et al. 2017 do).

    Any configuration may be trained, or get its next replicate. Proposals are by `bound`. The winner has
    the lowest posterior mean at 15 epochs; the claim is how far that is below the mean of all configurations.
    """
    world, end = session.world, session.spent + budget
    points = np.column_stack([world.encoded, np.ones(world.count)])
    queue = list(order[:2])
    while session.spent + world.whole_training / 2 < end:
        if not queue:
            mean, deviation = session.model(with_kind=True).posterior(points)
            weights = session.rng.exponential(size=max(1, session.kinds.count(WHOLE) // 4))
            queue = list(dict.fromkeys(int(np.argmin(mean - weight * deviation)) for weight in weights))
        configuration = queue.pop(0)
        free = [r for r in world.allowed(configuration) if r not in session.seen(configuration)]
        if not free:
            break  # the best configuration has no further replicate
        session.train(configuration, free[0], WHOLE)
    mean = session.model(with_kind=True).posterior(points)[0]
    best = min(set(session.configurations), key=lambda configuration: mean[configuration])
    return Selected(best, float(mean[best] - mean.mean()))


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A search and its rule of selection."""

    propose: Proposer
    trials: Kind = WHOLE
    """Kind of the trials. Finals always train 15 epochs."""
    select: Callable[[Session], Selected] = best_observed
    """Rule of selection without finals."""
    order: Callable[[Session], list[int]] = posterior_order
    """Order in which configurations enter the finals."""
    finals: Callable[[Session, Sequence[int], float], Selected] | None = None
    share: float = SHARE
    """Share of the budget for finals."""


ENGINES: dict[str, Engine] = {
    "random": Engine(propose=random_proposals),
    "random + finals": Engine(propose=random_proposals, order=observed_order, finals=race),
    "W&B's rule": Engine(propose=wandb_proposals),
    "TPE": Engine(propose=tpe_proposals),
    "Thompson": Engine(propose=thompson_proposals, select=best_posterior),
    "bound": Engine(propose=bound_proposals, select=best_posterior),
    "bound + finals": Engine(propose=bound_proposals, finals=race),
    "short random + finals": Engine(propose=random_proposals, trials=SHORT, order=observed_order, finals=race),
    "short bound + finals": Engine(propose=bound_proposals, trials=SHORT, finals=race),
    "wide random + finals": Engine(propose=random_proposals, trials=SHORT_WIDE, order=observed_order, finals=race),
    "wide bound + finals": Engine(propose=bound_proposals, trials=SHORT_WIDE, finals=race),
    "wide bound + half finals": Engine(propose=bound_proposals, trials=SHORT_WIDE, finals=race, share=1 / 2),
    "5 and 15 epochs, one model": Engine(propose=bound_proposals, trials=SHORT, finals=joint_search, share=1 / 2),
}
