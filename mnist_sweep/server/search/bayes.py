"""Bayesian search with Optuna's optimisers.

A Gaussian process per metric and per constraint, and the point where feasible improvement is most likely
(`optuna.samplers.GPSampler`; docs/search.md has the measurements that chose it). The study is rebuilt from the runs at
every call, so that a suggestion depends on nothing but its arguments.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import pstdev
from typing import TYPE_CHECKING, Any

from mnist_sweep.server.search.distributions import Levels, Parameter, key, parameter
from mnist_sweep.server.search.observations import Observation, observe
from mnist_sweep.server.search.space import Space
from mnist_sweep.server.search.trial import Trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

STARTUP = 5
"""Runs with an outcome before a model is fitted; until then points are drawn from the distributions."""

_MODELLED = 100  # the cost of a Gaussian process grows with the cube of this; W&B's own search takes as many
UNDER_WAY = 8  # with more runs under way than this, agents ask too often for a Gaussian process


_ATTEMPTS, _MODEL_ATTEMPTS = 8, 3
_MARGIN, _CAUTION = 0.02, 0.1


def suggest(space: Space, trials: Sequence[Trial], metric: Mapping[str, Any], seed: int) -> list[Any] | None:
    """Values for the parameters of `space`, in their order, that no trial has.

    None if there are too few runs to learn from, or if the model finds no new point. On levels it works between them,
    and may propose one that was tried: it then learns that there, too, the outcome is that of the level, and is asked
    again, the cheap sampler at last.
    """
    observations = observe(space, trials, metric)
    known = {_identity(space, o.places): o for o in observations}
    ended = _representative([o for o in observations if o.loss is not None])
    under_way = [o for o in observations if o.loss is None]
    if len(ended) < STARTUP:
        return None
    for attempt in range(_ATTEMPTS):
        busy = len(under_way) > UNDER_WAY or attempt >= _MODEL_ATTEMPTS
        cautious = _tighten(ended, _MARGIN + _CAUTION * attempt)
        places = _ask(space, cautious, under_way, seed + attempt, busy=busy)
        twin = known.get(_identity(space, places))
        if twin is None:
            return [p.pick(place) for p, place in zip(space.parameters, places, strict=True)]
        same = replace(twin, places=places)
        (under_way if twin.loss is None else ended).append(same)
    return None


def _identity(space: Space, places: Sequence[float]) -> tuple[str, ...]:
    return tuple(key(p.pick(place)) for p, place in zip(space.parameters, places, strict=True))


def warm_up() -> None:
    """Load what the first modelled suggestion needs, seconds of it, so that no agent waits for that."""
    line = Space((parameter(("x",), {"min": 0.0, "max": 1.0}),), {})
    _ask(line, [Observation((x,), x, {}) for x in (0.2, 0.7)], [], seed=0, busy=False)


def _representative(ended: list[Observation]) -> list[Observation]:
    """All of the runs, or, of many, the best half of what a model can hold and an even selection of the others."""
    if len(ended) <= _MODELLED:
        return ended
    ranked = sorted(ended, key=lambda o: (not o.feasible, o.loss))
    best, rest = ranked[: _MODELLED // 2], ranked[_MODELLED // 2 :]
    stride = len(rest) / (_MODELLED - len(best))
    return best + [rest[int(i * stride)] for i in range(_MODELLED - len(best))]


def _tighten(ended: list[Observation], margin: float) -> list[Observation]:
    """The runs with their constraints moved `margin` standard deviations towards broken.

    Where the best runs are just within a limit, an unmoved one would have every other suggestion beyond it.
    """
    spread = {name: pstdev([o.constraints[name] for o in ended]) for name in ended[0].constraints}
    return [replace(o, constraints={k: v + margin * spread[k] for k, v in o.constraints.items()}) for o in ended]


def _ask(
    space: Space, ended: list[Observation], under_way: list[Observation], seed: int, *, busy: bool
) -> tuple[float, ...]:
    """One place per parameter, chosen by Optuna."""
    import optuna
    from optuna.trial import TrialState, create_trial
    from threadpoolctl import threadpool_limits

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = {"/".join(p.path): _distribution(p) for p in space.parameters}
    study = optuna.create_study(sampler=_sampler(seed, busy=busy))
    for o in (*ended, *under_way):
        trial = create_trial(
            state=TrialState.RUNNING if o.loss is None else TrialState.COMPLETE,
            value=o.loss,
            params=dict(zip(distributions, o.places, strict=True)),
            distributions=distributions,
            constraints=None if o.loss is None else o.constraints,
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

    if isinstance(searched, Levels) and not searched.ordered:
        return CategoricalDistribution(range(searched.count))
    return FloatDistribution(0.0, 1.0)
