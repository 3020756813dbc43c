"""Bayesian search where a sweep says that its runs are noisy: by a parameter called `replicate`.

Runs that agree in everything else are replicates of one configuration. The next run is where one function, drawn
from the posterior, is best (Thompson sampling; under constraints as in Eriksson and Poloczek 2021,
https://arxiv.org/abs/2002.08526): a configuration that was tried competes with new ones, and is given its next
replicate if it wins. So promising ones are repeated, hopeless ones are not, and no lucky run sets the mark for others.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mnist_sweep.search.config import REPLICATE, SweepConfig
from mnist_sweep.search.distributions import Discrete, key
from mnist_sweep.search.gaussian_process import NoisyGaussianProcess
from mnist_sweep.search.observations import Observation, observe
from mnist_sweep.search.space import Space, read, value_at
from mnist_sweep.search.trial import Trial

STARTUP = 10
"""Runs with an outcome before a model is fitted."""

_PATH = (REPLICATE,)
_DRAWN, _CENTRES, _NEAR = 500, 5, 40  # candidates: at random; the best tried; variations of each
_MARGIN = 0.05  # standard deviations that a constraint is to be kept by


@dataclass(frozen=True)
class PosteriorEstimate:
    """What the runs say about one configuration."""

    params: Mapping[str, Any]
    """Its parameters, nested as the sweep's, without the replicate."""
    mean: float
    """Posterior mean of its true metric, in the metric's unit: what is to be claimed of it, luck taken off."""
    deviation: float
    """Standard deviation of that mean; infinite where there is too little to tell."""
    runs: tuple[str, ...]
    """The runs of it that count, by name."""


def posterior(config: SweepConfig, trials: Sequence[Trial]) -> list[PosteriorEstimate]:
    """Every configuration that was tried and kept its constraints, the best first by posterior mean.

    Replicates of a configuration are pooled, neighbours teach about each other, and the noise is learned from them all.
    Configurations whose runs have no outcome yet are left out. Raises ValueError for a sweep without a single metric.
    """
    if config.metric is None:
        raise ValueError("a posterior needs the sweep's metric")
    space = _configurations(read(config))
    ended = [o for o in observe(space, trials, config.metric) if o.loss is not None and o.feasible]
    groups: dict[tuple[str, ...], list[Observation]] = {}
    for o in ended:
        groups.setdefault(space.identity_at(o.encoded), []).append(o)
    if not ended:
        return []
    places = [group[0].encoded for group in groups.values()]
    means, deviations = (
        _model(space, ended).posterior(places) if space.parameters and len(ended) > 1 else _plain(groups)
    )
    beliefs = [
        PosteriorEstimate(
            {name: value for name, value in group[0].trial.params.items() if name != REPLICATE},
            config.metric.goal.to_loss(float(mean)),
            float(deviation),
            tuple(o.trial.name for o in group),
        )
        for group, mean, deviation in zip(groups.values(), means, deviations, strict=True)
    ]
    return sorted(beliefs, key=lambda belief: config.metric.goal.to_loss(belief.mean) if config.metric else 0.0)


def suggest(config: SweepConfig, trials: Sequence[Trial], rng: Any) -> dict[str, Any] | None:
    """A configuration and a replicate of it that has not been run; None where every replicate of all was."""
    from threadpoolctl import threadpool_limits

    assert config.metric is not None
    whole = read(config)
    space = _configurations(whole)
    replicates = _replicates(whole)
    used: dict[tuple[str, ...], set[str]] = {}
    for trial in trials:
        if (identity := space.identity(trial.params)) is not None:
            used.setdefault(identity, set()).add(key(value_at(trial.params, _PATH)))
    observations = observe(space, trials, config.metric)
    ended = [o for o in observations if o.loss is not None]
    places = _draw(space, _DRAWN, rng)
    if len([o for o in ended if o.feasible]) >= STARTUP:
        with threadpool_limits(1):
            places = _ranked(space, ended, places, rng)
    counts = Counter(replicate for some in used.values() for replicate in some)
    for place in places:
        values = [p.decode(x) for p, x in zip(space.parameters, place, strict=True)]
        free = [r for r in replicates if key(r) not in used.get(tuple(map(key, values)), set())]
        if free:
            # the least used one, so that no single replicate's luck rules
            chosen = min(free, key=lambda r: counts[key(r)])
            given = dict(zip([p.path for p in space.parameters], values, strict=True)) | {_PATH: chosen}
            return whole.nest([given[p.path] for p in whole.parameters])
    return None


def _configurations(space: Space) -> Space:
    """The space without its replicates."""
    fixed = {path: value for path, value in space.fixed.items() if path != _PATH}
    return Space(tuple(p for p in space.parameters if p.path != _PATH), fixed)


def _replicates(space: Space) -> list[Any]:
    """All replicates there may be, in the order of the sweep."""
    for p in space.parameters:
        if p.path == _PATH:
            return [p.at(i) for i in range(p.count)] if isinstance(p, Discrete) else []
    return [space.fixed[_PATH]]


def _names(space: Space) -> list[bool]:
    return [isinstance(p, Discrete) and not p.ordered for p in space.parameters]


def _model(space: Space, runs: Sequence[Observation]) -> NoisyGaussianProcess:
    replicates = [key(value_at(o.trial.params, _PATH)) for o in runs]
    return NoisyGaussianProcess([o.encoded for o in runs], [o.loss or 0.0 for o in runs], _names(space), replicates)


def _plain(groups: Mapping[Any, Sequence[Observation]]) -> tuple[list[float], list[float]]:
    """Where there is nothing to model: the means as they are."""
    return [sum(o.loss or 0.0 for o in group) / len(group) for group in groups.values()], [float("inf")] * len(groups)


def _draw(space: Space, count: int, rng: Any) -> list[tuple[float, ...]]:
    rows = rng.random((count, len(space.parameters)))
    return [
        tuple(p.encode(p.draw(float(u))) or 0.0 for p, u in zip(space.parameters, row, strict=True)) for row in rows
    ]


def _ranked(
    space: Space, ended: Sequence[Observation], drawn: list[tuple[float, ...]], rng: Any
) -> list[tuple[float, ...]]:
    """Candidates, those first that a function drawn from the posterior has best within the constraints drawn."""
    import numpy as np

    good = [o for o in ended if o.feasible]
    model = _model(space, good)
    tried = list({space.identity_at(o.encoded): o.encoded for o in good}.values())
    means, _ = model.posterior(tried)
    centres = [tried[i] for i in np.argsort(means, kind="stable")[:_CENTRES]]
    candidates = [*drawn, *tried, *(_near(space, centre, rng) for centre in centres for _ in range(_NEAR))]
    candidates = list(dict.fromkeys(candidates))
    broken = np.zeros(len(candidates))
    for name in ended[0].constraints:
        values = np.array([o.constraints[name] for o in ended])
        limit = NoisyGaussianProcess([o.encoded for o in ended], values.tolist(), _names(space), [""] * len(ended))
        broken += np.maximum(limit.draw(candidates, rng) + _MARGIN * values.std(), 0.0) / (values.std() or 1.0)
    worth = model.draw(candidates, rng)
    return [candidates[i] for i in np.lexsort((worth, broken))]


def _near(space: Space, centre: Sequence[float], rng: Any) -> tuple[float, ...]:
    """A variation of a place: some of its values moved, by little or by much."""
    width = 10 ** rng.uniform(-2.2, -0.5)
    place = list(centre)
    for i, p in enumerate(space.parameters):
        if rng.random() < max(0.3, 1.5 / len(place)):
            if isinstance(p, Discrete) and not p.ordered:
                place[i] = float(rng.integers(p.count))
            else:
                moved = min(max(place[i] + width * rng.standard_normal(), 0.0), 1.0)
                place[i] = p.encode(p.decode(moved)) or 0.0
    return tuple(place)
