"""Bayesian search with Optuna's samplers, for sweeps that do not declare noise.

`optuna.samplers.GPSampler` fits a Gaussian process per metric and constraint and proposes the configuration of largest
expected feasible improvement. docs/search.md has the measurements behind this choice. Every call rebuilds the study
from the runs, so a suggestion depends on nothing but its arguments.
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
"""Number of runs with an outcome before a model is fitted. Until then, trials are random draws."""

MAX_RUNNING = 8
"""With more running trials than this, agents ask too often for a Gaussian process: TPE answers instead."""

_MODEL_RUNS = 100  # runs in the model, whose cost is cubic; W&B's engine uses the same number
_NEIGHBOURS = 3  # a running trial is expected to end like this many nearest ones
_ATTEMPTS, _MODEL_ATTEMPTS = 8, 3  # proposals until an untried one is found, and how many the Gaussian process makes
_MARGIN, _EXTRA_MARGIN = 0.05, 0.1  # distance from constraints, in standard deviations; added for each further attempt


def suggest(space: Space, trials: Sequence[Trial], metric: Metric, seed: int) -> list[Any] | None:
    """Return values for the parameters of `space`, in their order, that no trial has.

    Return None if there are too few runs to learn from, or if the model finds no untried configuration. The model sees
    discrete parameters as continuous, so it may propose a configuration that was tried. It then learns that the known
    outcome holds at that point, too, and is asked again. The last attempts use the cheaper sampler.
    """
    observations = observe(space, trials, metric)
    ended = [o for o in observations if o.loss is not None]
    running = [o for o in observations if o.loss is None]
    if len(ended) < STARTUP:
        return None
    expected_runs = [_assume(o, ended) for o in running]
    known = {space.identity_at(o.encoded): o for o in (*ended, *expected_runs)}
    learned = _representative(ended) + expected_runs
    for attempt in range(_ATTEMPTS):
        busy = len(running) > MAX_RUNNING or attempt >= _MODEL_ATTEMPTS
        encoded = _ask(space, _tighten(learned, _MARGIN + _EXTRA_MARGIN * attempt), seed + attempt, busy=busy)
        twin = known.get(space.identity_at(encoded))
        if twin is None:
            return [p.decode(x) for p, x in zip(space.parameters, encoded, strict=True)]
        learned.append(replace(twin, encoded=encoded))
    return None


def _assume(running: Observation, ended: Sequence[Observation]) -> Observation:
    """Return a running trial as if it had ended like its nearest neighbours, so that the next trial lies elsewhere.

    Optuna's own treatment of running trials takes twice the time and finds less under constraints (docs/search.md).
    """
    encoded = running.encoded
    near = sorted(ended, key=lambda o: math.dist(o.encoded, encoded))[:_NEIGHBOURS]
    expected = {name: fmean(o.constraints[name] for o in near) for name in running.constraints}
    return Observation(encoded, fmean(o.loss for o in near if o.loss is not None), expected)


def warm_up() -> None:
    """Load what the first modelled suggestion needs, which takes seconds, so that no agent waits for it."""
    line = Space((parameter(("x",), Range(distribution="uniform", min=0.0, max=1.0)),), {})
    _ask(line, [Observation((x,), x, {}) for x in (0.2, 0.7)], seed=0, busy=False)


def _representative(ended: list[Observation]) -> list[Observation]:
    """Return all runs, or the best half of the model's limit and an even selection of the others."""
    if len(ended) <= _MODEL_RUNS:
        return ended
    ranked = sorted(ended, key=lambda o: (not o.feasible, o.loss))
    best, rest = ranked[: _MODEL_RUNS // 2], ranked[_MODEL_RUNS // 2 :]
    stride = len(rest) / (_MODEL_RUNS - len(best))
    return best + [rest[int(i * stride)] for i in range(_MODEL_RUNS - len(best))]


def _tighten(runs: list[Observation], margin: float) -> list[Observation]:
    """Return the runs with constraints that are stricter by `margin` standard deviations.

    If the best runs lie just within a limit, every other suggestion would otherwise lie beyond it.
    """
    spread = {name: pstdev([o.constraints[name] for o in runs]) for name in runs[0].constraints}
    return [replace(o, constraints={k: v + margin * spread[k] for k, v in o.constraints.items()}) for o in runs]


def _ask(space: Space, learned: list[Observation], seed: int, *, busy: bool) -> tuple[float, ...]:
    """Return the encoded configuration that Optuna proposes, one number per parameter."""
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
    with threadpool_limits(1):  # the matrices are small: more threads mostly wait for each other
        return tuple(study.ask(distributions).params.values())


def _sampler(seed: int, *, busy: bool) -> "BaseSampler":
    from optuna.samplers import GPSampler, TPESampler

    if busy:
        return TPESampler(seed=seed, n_startup_trials=0, multivariate=True, constant_liar=True)
    return GPSampler(seed=seed, n_startup_trials=0)


def _distribution(searched: Parameter) -> "BaseDistribution":
    """Return a continuous distribution for every parameter with an order.

    Optuna's search over integers is exact, but ten times slower and no better (docs/search.md).
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(searched, Discrete) and not searched.ordered:
        return CategoricalDistribution(range(searched.count))
    return FloatDistribution(0.0, 1.0)
