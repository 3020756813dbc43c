"""Bayesian search for noisy runs: sweeps that have a parameter called `replicate`.

Runs that agree in everything but `replicate` are replicates of one configuration. The search proposes the configuration
with the best optimistic estimate: its posterior mean, improved by a random number of its standard deviations. This is
the randomised upper confidence bound of Berk et al. 2020 (https://arxiv.org/abs/2006.04296); docs/search.md compares it
with Thompson sampling. The random number sends parallel agents to different configurations. Tried configurations
compete with new ones: one that wins gets its next replicate. So promising configurations are repeated, poor ones are
not, and no lucky run sets the target.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mnist_sweep.search.config import REPLICATE, SweepConfig
from mnist_sweep.search.distributions import Discrete, key
from mnist_sweep.search.gaussian_process import NoisyGaussianProcess
from mnist_sweep.search.observations import Observation, observe
from mnist_sweep.search.space import Space, read, value_at
from mnist_sweep.search.trial import Trial

STARTUP = 10
"""Number of feasible runs with an outcome before a model is fitted. Until then, trials are random draws."""

_PATH = (REPLICATE,)
_RANDOM_CANDIDATES = 500
_CENTRES, _VARIATIONS = 5, 40  # more candidates: number of best configurations, variations of each
_MARGIN = 0.05  # distance that candidates keep from a constraint, in its standard deviations

Encoded = tuple[float, ...]
"""A configuration as the model sees it, one number per parameter."""


@dataclass(frozen=True, kw_only=True)
class PosteriorEstimate:
    """What the runs say about one configuration."""

    params: Mapping[str, Any]
    """Its parameters, nested as in the sweep, without the replicate."""
    mean: float
    """Posterior mean of its true metric, in the metric's unit: the value to claim for it."""
    deviation: float
    """Standard deviation of that mean; infinite if there is too little data for a model."""
    runs: tuple[str, ...]
    """Names of its runs with an outcome."""


def posterior(
    config: SweepConfig, trials: Sequence[Trial], *, configurations: Mapping[str, Hashable] | None = None
) -> list[PosteriorEstimate]:
    """Return an estimate of every feasible configuration with an outcome, best posterior mean first.

    The model pools the replicates of a configuration, learns from its neighbours and estimates the noise from all runs.
    Raise ValueError for a sweep without a single metric.

    Args:
        config: the sweep.
        trials: its runs.
        configurations: the configuration of each run, by the run's name. Without it, runs that agree in every parameter
            but `replicate` have the same one. All runs of a configuration are modelled at the point of its first run.
    """
    if config.metric is None:
        raise ValueError("a posterior needs the sweep's metric")
    goal = config.metric.goal
    space = _without_replicate(read(config))
    ended = [o for o in observe(space, trials, config.metric) if o.loss is not None and o.feasible]
    groups: dict[Hashable, list[Observation]] = {}
    for o in ended:
        identity = space.identity_at(o.encoded) if configurations is None else configurations[o.trial.name]
        group = groups.setdefault(identity, [])
        group.append(replace(o, encoded=group[0].encoded) if group else o)
    if not ended:
        return []
    if space.parameters and len(ended) > 1:
        model = _fit(space, [o for group in groups.values() for o in group])
        means, deviations = model.posterior([group[0].encoded for group in groups.values()])
    else:
        means, deviations = _sample_means(groups.values())
    estimates = [
        PosteriorEstimate(
            params={name: value for name, value in group[0].trial.params.items() if name != REPLICATE},
            mean=goal.to_loss(float(mean)),
            deviation=float(deviation),
            runs=tuple(o.trial.name for o in group),
        )
        for group, mean, deviation in zip(groups.values(), means, deviations, strict=True)
    ]
    return sorted(estimates, key=lambda estimate: goal.to_loss(estimate.mean))


def suggest(config: SweepConfig, trials: Sequence[Trial], rng: Any) -> dict[str, Any] | None:
    """Return the parameters of the next trial: a configuration and a replicate of it that no trial has.

    Return None if all candidates have all their replicates.
    """
    from threadpoolctl import threadpool_limits

    assert config.metric is not None
    whole = read(config)
    space = _without_replicate(whole)
    replicates = _replicates(whole, len(trials) + 1)  # one more than there are trials: at least one is unused
    used: dict[tuple[str, ...], set[str]] = {}
    for trial in trials:
        if (identity := space.identity(trial.params)) is not None:
            used.setdefault(identity, set()).add(key(value_at(trial.params, _PATH)))
    ended = [o for o in observe(space, trials, config.metric) if o.loss is not None]
    candidates = _draw(space, _RANDOM_CANDIDATES, rng)
    if space.parameters and len([o for o in ended if o.feasible]) >= STARTUP:
        with threadpool_limits(1):  # the matrices are small: more threads mostly wait for each other
            candidates = _rank(space, ended, candidates, rng)
    counts = Counter(replicate for some in used.values() for replicate in some)
    for encoded in candidates:
        values = [p.decode(x) for p, x in zip(space.parameters, encoded, strict=True)]
        free = [r for r in replicates if key(r) not in used.get(tuple(map(key, values)), set())]
        if free:
            chosen = min(free, key=lambda r: counts[key(r)])  # the least used one, so that none dominates
            given = dict(zip([p.path for p in space.parameters], values, strict=True)) | {_PATH: chosen}
            return whole.nest([given[p.path] for p in whole.parameters])
    return None


def _without_replicate(space: Space) -> Space:
    fixed = {path: value for path, value in space.fixed.items() if path != _PATH}
    return Space(tuple(p for p in space.parameters if p.path != _PATH), fixed)


def _replicates(space: Space, most: int) -> list[Any]:
    """Return the first `most` values of the parameter `replicate`, in the order of the sweep."""
    for p in space.parameters:
        if p.path == _PATH:
            assert isinstance(p, Discrete)  # or the sweep would have been refused
            return [p.at(i) for i in range(min(p.count, most))]
    return [space.fixed[_PATH]]


def _unordered(space: Space) -> list[bool]:
    return [isinstance(p, Discrete) and not p.ordered for p in space.parameters]


def _fit(space: Space, runs: Sequence[Observation]) -> NoisyGaussianProcess:
    replicates = [key(value_at(o.trial.params, _PATH)) for o in runs]
    losses = [o.loss for o in runs if o.loss is not None]
    return NoisyGaussianProcess([o.encoded for o in runs], losses, _unordered(space), replicates)


def _sample_means(groups: Any) -> tuple[list[float], list[float]]:
    """Return the mean loss of each configuration, with infinite deviations."""
    means = [sum(o.loss or 0.0 for o in group) / len(group) for group in groups]
    return means, [float("inf")] * len(means)


def _draw(space: Space, count: int, rng: Any) -> list[Encoded]:
    """Return random configurations of the sweep's own distributions."""
    rows = rng.random((count, len(space.parameters)))
    return [
        tuple(p.encode(p.draw(float(u))) or 0.0 for p, u in zip(space.parameters, row, strict=True)) for row in rows
    ]


def _rank(space: Space, ended: Sequence[Observation], drawn: list[Encoded], rng: Any) -> list[Encoded]:
    """Return all candidates, the one with the best optimistic estimate first.

    The number of standard deviations is exponential with mean 1. Each constraint is a function drawn from its own
    posterior (Eriksson and Poloczek 2021, https://arxiv.org/abs/2002.08526). Candidates that satisfy them all come
    first, then those that break them least.
    """
    feasible = [o for o in ended if o.feasible]
    model = _fit(space, feasible)
    tried = list({space.identity_at(o.encoded): o.encoded for o in feasible}.values())
    means, _ = model.posterior(tried)
    centres = [tried[i] for i in np.argsort(means, kind="stable")[:_CENTRES]]
    varied = [_vary(space, centre, rng) for centre in centres for _ in range(_VARIATIONS)]
    candidates = list(dict.fromkeys([*drawn, *tried, *varied]))
    violation = np.zeros(len(candidates))
    for name in ended[0].constraints:
        values = np.array([o.constraints[name] for o in ended])
        constraint = NoisyGaussianProcess(
            [o.encoded for o in ended], values.tolist(), _unordered(space), [""] * len(ended)
        )
        excess = constraint.draw(candidates, rng) + _MARGIN * values.std()
        violation += np.maximum(excess, 0.0) / (values.std() or 1.0)
    means, deviations = model.posterior(candidates)
    optimistic = means - rng.exponential() * deviations
    return [candidates[i] for i in np.lexsort((optimistic, violation))]


def _vary(space: Space, centre: Encoded, rng: Any) -> Encoded:
    """Return a variation of a configuration: some parameters are moved, by a width between 0.006 and 0.3."""
    width = 10 ** rng.uniform(-2.2, -0.5)
    share = max(0.3, 1.5 / len(centre))  # of the parameters that are moved
    varied = list(centre)
    for i, p in enumerate(space.parameters):
        if rng.random() < share:
            if isinstance(p, Discrete) and not p.ordered:
                varied[i] = float(rng.integers(p.count))
            else:
                moved = min(max(varied[i] + width * rng.standard_normal(), 0.0), 1.0)
                varied[i] = p.encode(p.decode(moved)) or 0.0
    return tuple(varied)
