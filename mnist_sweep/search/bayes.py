"""Bayesian search with Optuna's optimisers.

A Gaussian process per metric and per constraint, and the point where feasible improvement is most likely
(`optuna.samplers.GPSampler`; docs/search.md has the measurements that chose it). The study is rebuilt from the runs at
every call, so that a suggestion depends on nothing but its arguments.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from mnist_sweep.search.config import Metric
from mnist_sweep.search.distributions import Discrete, Parameter, parameter
from mnist_sweep.search.observations import Observation, observe
from mnist_sweep.search.space import Space
from mnist_sweep.search.specs import Range
from mnist_sweep.search.trial import Trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

STARTUP = 5
"""Runs with an outcome before a model is fitted; until then points are drawn from the distributions."""

UNDER_WAY = 8
"""With more runs under way than this, agents ask too often for a Gaussian process, and a Parzen estimator answers."""

_MODELLED = 100  # a Gaussian process costs the cube of this; W&B's own search takes as many
_NEIGHBOURS = 3  # whose outcome a run under way is expected to have
_ATTEMPTS, _MODEL_ATTEMPTS = 8, 3  # proposals that may turn out to have been tried; those asked of the Gaussian process
_MARGIN, _CAUTION = 0.05, 0.1  # standard deviations that proposals keep from a limit; more for every further attempt


def suggest(space: Space, trials: Sequence[Trial], metric: Metric, seed: int) -> list[Any] | None:
    """Values for the parameters of `space`, in their order, that no trial has.

    None if there are too few runs to learn from, or if the model finds no new point. On levels it works between them,
    and may propose one that was tried: it then learns that there, too, the outcome is that of the level, and is asked
    again, the cheap sampler at last.
    """
    observations = observe(space, trials, metric)
    ended = [o for o in observations if o.loss is not None]
    under_way = [o for o in observations if o.loss is None]
    if len(ended) < STARTUP:
        return None
    believed = [_assume(o, ended) for o in under_way]
    known = {space.identity_at(o.encoded): o for o in (*ended, *believed)}
    learned = _representative(ended) + believed
    for attempt in range(_ATTEMPTS):
        busy = len(under_way) > UNDER_WAY or attempt >= _MODEL_ATTEMPTS
        places = _ask(space, _tighten(learned, _MARGIN + _CAUTION * attempt), seed + attempt, busy=busy)
        twin = known.get(space.identity_at(places))
        if twin is None:
            return [p.decode(place) for p, place in zip(space.parameters, places, strict=True)]
        learned.append(replace(twin, encoded=places))
    return None


def _assume(under_way: Observation, ended: Sequence[Observation]) -> Observation:
    """A run under way as if it had ended like the runs nearest to it, so that the next agent is sent elsewhere.

    Optuna's own treatment of running trials costs twice the time, and finds less under constraints (docs/search.md).
    """
    places = under_way.encoded
    near = sorted(ended, key=lambda o: math.dist(o.encoded, places))[:_NEIGHBOURS]
    expected = {name: fmean(o.constraints[name] for o in near) for name in under_way.constraints}
    return Observation(places, fmean(o.loss for o in near if o.loss is not None), expected)


def warm_up() -> None:
    """Load what the first modelled suggestion needs, seconds of it, so that no agent waits for that."""
    line = Space((parameter(("x",), Range(distribution="uniform", min=0.0, max=1.0)),), {})
    _ask(line, [Observation((x,), x, {}) for x in (0.2, 0.7)], seed=0, busy=False)


def _representative(ended: list[Observation]) -> list[Observation]:
    """All of the runs, or, of many, the best half of what a model can hold and an even selection of the others."""
    if len(ended) <= _MODELLED:
        return ended
    ranked = sorted(ended, key=lambda o: (not o.feasible, o.loss))
    best, rest = ranked[: _MODELLED // 2], ranked[_MODELLED // 2 :]
    stride = len(rest) / (_MODELLED - len(best))
    return best + [rest[int(i * stride)] for i in range(_MODELLED - len(best))]


def _tighten(runs: list[Observation], margin: float) -> list[Observation]:
    """The runs with their constraints moved `margin` standard deviations towards broken.

    Where the best runs are just within a limit, an unmoved one would have every other suggestion beyond it.
    """
    spread = {name: pstdev([o.constraints[name] for o in runs]) for name in runs[0].constraints}
    return [replace(o, constraints={k: v + margin * spread[k] for k, v in o.constraints.items()}) for o in runs]


def _ask(space: Space, learned: list[Observation], seed: int, *, busy: bool) -> tuple[float, ...]:
    """One place per parameter, chosen by Optuna."""
    import optuna
    from optuna.trial import create_trial
    from threadpoolctl import threadpool_limits

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = {"/".join(p.path): _distribution(p) for p in space.parameters}
    study = optuna.create_study(sampler=_sampler(seed, busy=busy))
    for o in learned:
        trial = create_trial(
            value=o.loss,
            params=dict(zip(distributions, o.encoded, strict=True)),
            distributions=distributions,
            constraints=o.constraints,
        )
        study.add_trial(trial)
    with threadpool_limits(
        1
    ):  # its matrices are small: more threads wait for each other ten times as long as they work
        return tuple(study.ask(distributions).params.values())


def _sampler(seed: int, *, busy: bool) -> "BaseSampler":
    from optuna.samplers import GPSampler, TPESampler

    if busy:
        return TPESampler(seed=seed, n_startup_trials=0, multivariate=True, constant_liar=True)
    return GPSampler(seed=seed, n_startup_trials=0)


def _distribution(searched: Parameter) -> "BaseDistribution":
    """A line for everything that has an order: Optuna's search over integers is exact, but ten times slower."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(searched, Discrete) and not searched.ordered:
        return CategoricalDistribution(range(searched.count))
    return FloatDistribution(0.0, 1.0)
