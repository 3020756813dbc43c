"""Parameters of a sweep: what values they have, how likely, and where an optimiser sees each value.

Every parameter is one of two kinds, whatever W&B distribution it was written as:

- `Levels`: finitely many values, addressed by index (categorical, int_uniform, q_uniform);
- `Real`: a quantile function, rounded to multiples of `q` if it has one (all others).

Random search draws quantiles, and an optimiser sees quantiles, too: a space in which the distribution the user asked
for is flat. Distributions and their meaning: https://docs.wandb.ai/models/sweeps/sweep-config-keys
"""

import json
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from statistics import NormalDist
from typing import Any

from mnist_sweep.search.metric import finite
from mnist_sweep.search.specs import (
    LARGEST_EXPONENT,
    Beta,
    Categorical,
    Exponents,
    LogRange,
    Normal,
    Quantised,
    Range,
    Spec,
    Weighted,
    WholeRange,
)

Path = tuple[str, ...]
Quantile = tuple[Callable[[float], float], Callable[[float], float]]
"""A quantile function and its inverse."""


def key(value: object) -> str:
    """A hashable stand-in for any parameter value; 1 and 1.0 are the same value, 1 and true are not."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is int or type(value) is float:
        return repr(value)  # as JSON writes it, at a fraction of the time
    return json.dumps(value, sort_keys=True, default=str)


@dataclass(frozen=True)
class Discrete:
    """A parameter with finitely many values. `ordered` ones lie on a line, the others are mere names."""

    path: Path
    count: int
    at: Callable[[int], Any]
    index: Callable[[Any], int | None]
    ordered: bool
    quantile: Callable[[float], int]

    def draw(self, u: float) -> Any:
        """The value at quantile `u`, 0 <= u <= 1."""
        return self.at(self.quantile(u))

    def encode(self, value: object) -> float | None:
        """Where an optimiser sees `value`: the middle of its share of [0, 1], or its index if it is a mere name.

        None if there is no such level.
        """
        index = self.index(value)
        return index if index is None or not self.ordered else (index + 0.5) / self.count

    def decode(self, place: float) -> Any:
        """The value nearest to a place, the inverse of `place`."""
        return self.at(min(int(place * self.count), self.count - 1) if self.ordered else int(place))


@dataclass(frozen=True)
class Continuous:
    """A parameter on a continuous distribution, given by its quantile function and that function's inverse.

    `tail` is the probability at either end that an optimiser leaves out: its favourite guess is an end of the line, and
    the end of a normal distribution is seven sigmas out.
    """

    path: Path
    at: Callable[[float], Any]
    position: Callable[[float], float]
    tail: float = 0.0

    def draw(self, u: float) -> Any:
        """The value at quantile `u`, 0 <= u <= 1."""
        return self.at(u)

    def encode(self, value: Any) -> float | None:
        """Where an optimiser sees `value` on [0, 1]: its quantile. None where the distribution has no such value."""
        if not finite(value):
            return None
        u = self.position(float(value))
        inside = -1e-6 <= u <= 1 + 1e-6
        return min(max((u - self.tail) / (1 - 2 * self.tail), 0.0), 1.0) if inside else None

    def decode(self, place: float) -> Any:
        """The value at a place, the inverse of `place`."""
        return self.at(self.tail + (1 - 2 * self.tail) * place)


Parameter = Discrete | Continuous


def parameter(path: Path, spec: Spec) -> Parameter:
    """One searched parameter as its description says; a constant is none."""
    if isinstance(spec, Categorical):
        return choices(path, spec.values, spec.probabilities if isinstance(spec, Weighted) else None)
    if isinstance(spec, WholeRange):
        return steps(path, spec.min, 1, spec.max - spec.min + 1)
    q = spec.q if isinstance(spec, Quantised) else None
    if isinstance(spec, Range):
        low, high = spec.bounds
        if isinstance(spec, Exponents | LogRange):
            return _real(path, _exp(_flat(math.log(low), math.log(high))), low, high, q)
        return _real(path, _flat(low, high), low, high, None) if q is None else _multiples(path, low, high, q)
    if isinstance(spec, Normal):
        quantile = _normal(spec)
    elif isinstance(spec, Beta):
        quantile = _beta(spec)
    else:
        raise TypeError(f"{'.'.join(path)}: {spec.distribution} is not searched")
    return _real(path, _exp(quantile) if "log_" in spec.distribution else quantile, -math.inf, math.inf, q)


def choices(
    path: Path, values: Sequence[Any], probabilities: Sequence[float] | None = None, *, keep_order: bool = False
) -> Discrete:
    """Listed values, duplicates merged, equally likely or with `probabilities`; impossible ones are dropped.

    Numbers are sorted, so that an optimiser can tell near from far, unless the order of the list is to be kept.
    """
    merged: dict[str, tuple[Any, float]] = {}
    for value, weight in zip(values, probabilities or [1.0] * len(values), strict=True):
        first, sum_so_far = merged.get(key(value), (value, 0.0))
        merged[key(value)] = (first, sum_so_far + weight)
    items = [item for item in merged.values() if item[1] > 0]
    ordered = all(finite(value) for value, _ in items)
    if ordered and not keep_order:
        items.sort(key=lambda item: float(item[0]))
    kept = [value for value, _ in items]
    upper = list(accumulate(weight for _, weight in items))
    indices = {key(value): i for i, value in enumerate(kept)}
    return Discrete(
        path,
        len(kept),
        kept.__getitem__,
        lambda value: indices.get(key(value)),
        ordered,
        lambda u: min(bisect_right(upper, u * upper[-1]), len(kept) - 1),
    )


def exact(value: float) -> int | Decimal:
    """A number as people wrote it, so that three steps of 0.1 are 0.3."""
    return value if isinstance(value, int) else Decimal(str(value))


def steps(
    path: Path, start: int | Decimal, step: float, count: int, quantile: Callable[[float], int] | None = None
) -> Discrete:
    """`count` numbers from `start` in steps of `step`, equally likely unless a quantile function says otherwise.

    Integers where start and step are.
    """

    def at(i: int) -> int | float:
        value = start + i * exact(step)
        return value if isinstance(value, int) else float(value)

    def index(value: Any) -> int | None:
        if not finite(value):
            return None
        i = round((value - float(start)) / step)
        return i if 0 <= i < count and math.isclose(at(i), value, rel_tol=1e-9, abs_tol=1e-6 * step) else None

    return Discrete(path, count, at, index, True, quantile or (lambda u: min(int(u * count), count - 1)))


def _inner(low: float, high: float, q: float) -> tuple[int, int]:
    """The first and the last multiple of `q` inside the bounds, in steps; those nearest to them if none is inside."""
    first, last = math.ceil(exact(low) / exact(q)), math.floor(exact(high) / exact(q))
    return (first, last) if first <= last else (round(low / q), round(high / q))


def _multiples(path: Path, low: float, high: float, q: float) -> Discrete:
    """A uniform distribution rounded to multiples of `q` inside the bounds."""
    first, last = _inner(low, high, q)

    def quantile(u: float) -> int:
        return min(max(round((low + (high - low) * u) / q), first), last) - first

    return steps(path, first * exact(q), q, last - first + 1, quantile)


def _real(path: Path, base: Quantile, low: float, high: float, q: float | None) -> Continuous:
    """A continuous distribution inside the bounds, rounded to multiples of `q` if there is one."""
    at, position = base
    tail = 0.0 if math.isfinite(high) else 0.001
    if q is None:
        return Continuous(path, lambda u: min(max(at(u), low), high), position, tail)
    bounds = _inner(low, high, q) if math.isfinite(high) else (-math.inf, math.inf)
    multiple = steps(path, 0, q, 1).at
    return Continuous(path, lambda u: multiple(int(min(max(round(at(u) / q), bounds[0]), bounds[1]))), position, tail)


def _inside(u: float) -> float:
    """`u` away from 0 and 1, where the quantiles of unbounded distributions are infinite and scipy's beta is NaN."""
    return min(max(u, 1e-12), 1 - 1e-12)


def _flat(low: float, high: float) -> Quantile:
    return (lambda u: low + (high - low) * u), (lambda x: (x - low) / (high - low))


def _normal(spec: Normal) -> Quantile:
    if spec.sigma == 0:
        return (lambda u: float(spec.mu)), (lambda x: 0.5)
    normal = NormalDist(spec.mu, spec.sigma)
    return (lambda u: normal.inv_cdf(_inside(u))), normal.cdf


def _beta(spec: Beta) -> Quantile:
    from scipy.special import betainc, betaincinv

    a, b = spec.a, spec.b
    return (lambda u: float(betaincinv(a, b, _inside(u)))), (lambda x: float(betainc(a, b, min(max(x, 0.0), 1.0))))


def _exp(base: Quantile) -> Quantile:
    at, position = base
    return (lambda u: math.exp(min(at(u), LARGEST_EXPONENT))), (lambda x: position(math.log(x)) if x > 0 else -1.0)
