"""Bayesian search with Optuna's optimisers.

A Gaussian process per metric and per constraint, and the point where feasible improvement is most likely
(`optuna.samplers.GPSampler`; docs/search.md has the measurements that chose it). The study is rebuilt from the runs at
every call, so that a suggestion depends on nothing but its arguments.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mnist_sweep.server.search.distributions import Levels, Parameter, parameter
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


def suggest(space: Space, trials: Sequence[Trial], metric: Mapping[str, Any], seed: int) -> list[Any] | None:
    """Values for the parameters of `space`, in their order, or None while there are too few runs to learn from."""
    observations = observe(space, trials, metric)
    ended = [o for o in observations if o.loss is not None]
    under_way = [o for o in observations if o.loss is None]
    if len(ended) < STARTUP:
        return None
    return _ask(space, _representative(ended), under_way, seed)


def warm_up() -> None:
    """Load what the first modelled suggestion needs, seconds of it, so that no agent waits for that."""
    line = Space((parameter(("x",), {"min": 0.0, "max": 1.0}),), {})
    _ask(line, [Observation((x,), x, {}) for x in (0.2, 0.7)], [], seed=0)


def _representative(ended: list[Observation]) -> list[Observation]:
    """All of the runs, or, of many, the best half of what a model can hold and an even selection of the others."""
    if len(ended) <= _MODELLED:
        return ended
    ranked = sorted(ended, key=lambda o: (not o.feasible, o.loss))
    best, rest = ranked[: _MODELLED // 2], ranked[_MODELLED // 2 :]
    stride = len(rest) / (_MODELLED - len(best))
    return best + [rest[int(i * stride)] for i in range(_MODELLED - len(best))]


def _ask(space: Space, ended: list[Observation], under_way: list[Observation], seed: int) -> list[Any]:
    import optuna
    from optuna.trial import TrialState, create_trial
    from threadpoolctl import threadpool_limits

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {"/".join(p.path): _distribution(p) for p in space.parameters}
    study = optuna.create_study(sampler=_sampler(seed, busy=len(under_way) > UNDER_WAY))
    for o in (*ended, *under_way):
        done = o.loss is not None
        trial = create_trial(
            state=TrialState.COMPLETE if done else TrialState.RUNNING,
            value=o.loss,
            params=dict(zip(distributions, o.places, strict=True)),
            distributions=distributions,
            constraints=o.constraints if done else None,
        )
        study.add_trial(trial)
    with threadpool_limits(
        1
    ):  # its matrices are small: more threads wait for each other ten times as long as they work
        asked = study.ask(distributions).params
    return [p.pick(place) for p, place in zip(space.parameters, asked.values(), strict=True)]


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
