"""Parameters of a sweep: their values, their probabilities and their encoding for an optimiser.

Every W&B distribution becomes one of two kinds:

- `Discrete`: finitely many values, addressed by index (categorical, int_uniform, q_uniform);
- `Continuous`: a quantile function, rounded to multiples of `q` if there is one (all others).

Random search draws quantiles. An optimiser sees quantiles, too, so the user's distribution is flat in its space.
Distributions and their meaning: https://docs.wandb.ai/models/sweeps/sweep-config-keys
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
"""A quantile function (probability -> value) and its inverse."""


def key(value: object) -> str:
    """Return a hashable key of any parameter value. 1 and 1.0 have the same key; 1 and true do not."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is int or type(value) is float:
        return repr(value)  # equals the JSON form and is much faster
    return json.dumps(value, sort_keys=True, default=str)


@dataclass(frozen=True)
class Discrete:
    """A parameter with finitely many values."""

    path: Path
    count: int
    """Number of values."""
    at: Callable[[int], Any]
    """Index -> value."""
    index: Callable[[Any], int | None]
    """Value -> index; None if there is no such value."""
    ordered: bool
    """Whether the values lie on a line. The others are categories without an order."""
    quantile: Callable[[float], int]
    """Probability -> index."""

    def draw(self, u: float) -> Any:
        """Return the value at quantile `u`, 0 <= u <= 1."""
        return self.at(self.quantile(u))

    def encode(self, value: object) -> float | None:
        """Return the middle of the value's share of [0, 1], or its index if the values have no order.

        Return None if there is no such value.
        """
        index = self.index(value)
        return index if index is None or not self.ordered else (index + 0.5) / self.count

    def decode(self, encoded: float) -> Any:
        """Return the value that an encoded number is nearest to: the inverse of `encode`."""
        return self.at(min(int(encoded * self.count), self.count - 1) if self.ordered else int(encoded))


@dataclass(frozen=True)
class Continuous:
    """A parameter with a continuous distribution."""

    path: Path
    at: Callable[[float], Any]
    """Quantile function: probability -> value."""
    position: Callable[[float], float]
    """Its inverse: value -> probability."""
    tail: float = 0.0
    """Probability at either end that an optimiser leaves out.

    Optimisers like to propose the ends of the line, and the end of a normal distribution is seven sigmas out.
    """

    def draw(self, u: float) -> Any:
        """Return the value at quantile `u`, 0 <= u <= 1."""
        return self.at(u)

    def encode(self, value: Any) -> float | None:
        """Return the quantile of `value` on [0, 1], or None if the distribution has no such value."""
        if not finite(value):
            return None
        u = self.position(float(value))
        inside = -1e-6 <= u <= 1 + 1e-6
        return min(max((u - self.tail) / (1 - 2 * self.tail), 0.0), 1.0) if inside else None

    def decode(self, encoded: float) -> Any:
        """Return the value of an encoded number: the inverse of `encode`."""
        return self.at(self.tail + (1 - 2 * self.tail) * encoded)


Parameter = Discrete | Continuous


def parameter(path: Path, spec: Spec) -> Parameter:
    """Return the parameter that a specification describes. Raise TypeError for a constant."""
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
    """Return a parameter of listed values, equally likely or with `probabilities`.

    Duplicates are merged and values of probability 0 are dropped. Numbers are sorted unless `keep_order` is true, so
    that an optimiser can tell near from far.
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
    """Return the number as a decimal of its shortest text, so that three steps of 0.1 are 0.3."""
    return value if isinstance(value, int) else Decimal(str(value))


def steps(
    path: Path, start: int | Decimal, step: float, count: int, quantile: Callable[[float], int] | None = None
) -> Discrete:
    """Return a parameter of `count` numbers from `start` in steps of `step`.

    They are equally likely unless there is a quantile function. They are integers if start and step are.
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
    """Return the first and last multiple of `q` inside the bounds, in steps; the nearest ones if none is inside."""
    first, last = math.ceil(exact(low) / exact(q)), math.floor(exact(high) / exact(q))
    return (first, last) if first <= last else (round(low / q), round(high / q))


def _multiples(path: Path, low: float, high: float, q: float) -> Discrete:
    """Return a uniform distribution rounded to the multiples of `q` inside the bounds."""
    first, last = _inner(low, high, q)

    def quantile(u: float) -> int:
        return min(max(round((low + (high - low) * u) / q), first), last) - first

    return steps(path, first * exact(q), q, last - first + 1, quantile)


def _real(path: Path, base: Quantile, low: float, high: float, q: float | None) -> Continuous:
    """Return a continuous distribution inside the bounds, rounded to multiples of `q` if given."""
    at, position = base
    tail = 0.0 if math.isfinite(high) else 0.001
    if q is None:
        return Continuous(path, lambda u: min(max(at(u), low), high), position, tail)
    bounds = _inner(low, high, q) if math.isfinite(high) else (-math.inf, math.inf)
    multiple = steps(path, 0, q, 1).at
    return Continuous(path, lambda u: multiple(int(min(max(round(at(u) / q), bounds[0]), bounds[1]))), position, tail)


def _inside(u: float) -> float:
    """Return `u` kept away from 0 and 1, where unbounded quantiles are infinite and scipy's beta is NaN."""
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
