"""The search space of a sweep: its parameters, and where a value lies in their distributions.

Every parameter is one of two kinds, whatever W&B distribution it was written as:

- `Levels`: finitely many values, addressed by index (categorical, int_uniform, q_uniform);
- `Real`: a quantile function from the open unit interval, rounded to multiples of `q` if it has one.

So random search is drawing quantiles, and an optimiser sees indices and quantiles: a space that is flat under the
distribution the user asked for. Distributions and their meaning: https://docs.wandb.ai/models/sweeps/sweep-config-keys
"""

import json
import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import accumulate
from statistics import NormalDist
from typing import Any

Path = tuple[str, ...]
_EDGE = 1e-12  # quantile functions of unbounded distributions are infinite at 0 and 1


def key(value: object) -> str:
    """A hashable stand-in for any parameter value; 1 and 1.0 are the same value, 1 and true are not."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True, default=str)


@dataclass(frozen=True)
class Levels:
    """A parameter with finitely many values. `ordered` ones lie on a line, the others are mere names."""

    path: Path
    count: int
    at: Callable[[int], Any]
    index: Callable[[Any], int | None]
    ordered: bool
    quantile: Callable[[float], int]

    def draw(self, u: float) -> Any:
        """The value at quantile `u`, 0 <= u < 1."""
        return self.at(self.quantile(u))


@dataclass(frozen=True)
class Real:
    """A parameter on a continuous distribution, given by its quantile function and that function's inverse."""

    path: Path
    at: Callable[[float], Any]
    position: Callable[[float], float]

    def draw(self, u: float) -> Any:
        """The value at quantile `u`, 0 <= u <= 1."""
        return self.at(u)

    def locate(self, value: object) -> float | None:
        """The quantile of `value`, or None where the distribution has no such value."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return None
        u = self.position(float(value))
        return min(max(u, 0.0), 1.0) if -1e-6 <= u <= 1 + 1e-6 else None


Parameter = Levels | Real


@dataclass(frozen=True)
class Space:
    """The parameters of a sweep, sorted by name level by level as W&B does; `fixed` holds the constants."""

    parameters: tuple[Parameter, ...]
    fixed: dict[Path, Any]

    def nest(self, values: Sequence[Any]) -> dict[str, Any]:
        """Values in the order of `parameters`, with the constants, as the nested dictionary a run receives."""
        nested: dict[str, Any] = {}
        leaves = [*self.fixed.items(), *((p.path, v) for p, v in zip(self.parameters, values, strict=True))]
        for path, value in sorted(leaves, key=lambda leaf: leaf[0]):
            node = nested
            for name in path[:-1]:
                node = node.setdefault(name, {})
            node[path[-1]] = value
        return nested

    def identity(self, params: Mapping[str, Any]) -> tuple[str, ...] | None:
        """What tells a point from another: the keys of its searched values, or None if one is missing."""
        values = [value_at(params, parameter.path) for parameter in self.parameters]
        return None if any(v is _MISSING for v in values) else tuple(map(key, values))


_MISSING = object()


def value_at(params: Mapping[str, Any], path: Path) -> Any:
    """The value at `path` of nested `params`, or a private marker (located nowhere) if there is none."""
    node: Any = params
    for name in path:
        if not isinstance(node, Mapping) or name not in node:
            return _MISSING
        node = node[name]
    return node


def distribution(spec: Mapping[str, Any]) -> str | None:
    """The distribution of one parameter, inferred from its keys as W&B does where it is not named."""
    if "distribution" in spec:
        return str(spec["distribution"])
    if "values" in spec:
        return "categorical_w_probabilities" if "probabilities" in spec else "categorical"
    if "value" in spec:
        return "constant"
    if "min" in spec and "max" in spec:
        ints = all(isinstance(spec[bound], int) for bound in ("min", "max"))
        return "int_uniform" if ints else "uniform"
    return None


def leaves(parameters: Mapping[str, Any], prefix: Path = ()) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Paths and specifications of all parameters, nested ones included, sorted by name at each level."""
    for name, spec in sorted(parameters.items()):
        if "parameters" in spec:
            yield from leaves(spec["parameters"], (*prefix, name))
        else:
            yield (*prefix, name), spec


def read(config: Mapping[str, Any]) -> Space:
    """The search space of a sweep configuration that `check` found valid."""
    parameters: list[Parameter] = []
    fixed: dict[Path, Any] = {}
    for path, spec in leaves(config["parameters"]):
        if distribution(spec) == "constant":
            fixed[path] = spec["value"]
        else:
            parameters.append(parameter(path, spec))
    return Space(tuple(parameters), fixed)


def parameter(path: Path, spec: Mapping[str, Any]) -> Parameter:
    """One searched parameter. Raises ValueError for a distribution W&B does not know."""
    name = distribution(spec)
    if name in ("categorical", "categorical_w_probabilities"):
        return choices(path, spec["values"], spec.get("probabilities"))
    if name == "int_uniform":
        return integers(path, spec["min"], spec["max"])
    if name == "q_uniform":
        return multiples(path, spec["min"], spec["max"], spec.get("q", 1))
    if name in _QUANTILES:
        return real(path, spec, *_QUANTILES[name](spec), quantised=name.startswith("q_"))
    raise ValueError(f"{'.'.join(path)}: {name!r} is not a distribution")


def choices(
    path: Path, values: Sequence[Any], probabilities: Sequence[float] | None = None, *, keep_order: bool = False
) -> Levels:
    """Listed values, duplicates merged, equally likely or with `probabilities`; impossible ones are dropped.

    Numbers are sorted, so that an optimiser can tell near from far, unless the order of the list is to be kept.
    """
    weights = probabilities or [1.0] * len(values)
    merged: dict[str, tuple[Any, float]] = {}
    for value, weight in zip(values, weights, strict=True):
        merged[key(value)] = (merged.get(key(value), (value, 0.0))[0], merged.get(key(value), (0, 0.0))[1] + weight)
    items = [item for item in merged.values() if item[1] > 0]
    ordered = all(isinstance(v, int | float) and not isinstance(v, bool) for v, _ in items)
    if ordered and not keep_order:
        items.sort(key=lambda item: item[0])
    kept = [value for value, _ in items]
    upper = list(accumulate(weight for _, weight in items))
    indices = {key(value): i for i, value in enumerate(kept)}
    return Levels(
        path,
        len(kept),
        kept.__getitem__,
        lambda value: indices.get(key(value)),
        ordered,
        lambda u: min(bisect_right(upper, u * upper[-1]), len(kept) - 1),
    )


def integers(path: Path, low: int, high: int) -> Levels:
    """The integers from `low` to `high`, both included."""
    span = range(low, high + 1)

    def index(value: Any) -> int | None:
        whole = isinstance(value, int | float) and not isinstance(value, bool) and value in span
        return int(value) - low if whole else None

    return Levels(path, len(span), span.__getitem__, index, True, lambda u: min(int(u * len(span)), len(span) - 1))


def rounder(q: float) -> tuple[Callable[[float], int], Callable[[int], Any]]:
    """To the number of steps of `q` nearest to a value, and back. Integers where `q` is one, and 0.3, not 0.1 * 3."""
    step = Decimal(str(q))
    back: Callable[[int], Any] = (lambda n: n * q) if isinstance(q, int) else (lambda n: float(step * n))
    return (lambda x: round(x / q)), back


def multiples(path: Path, low: float, high: float, q: float) -> Levels:
    """A uniform distribution rounded to multiples of `q`, those inside the bounds if there are any."""
    nearest, back = rounder(q)
    first = int((Decimal(str(low)) / Decimal(str(q))).to_integral_value(ROUND_CEILING))
    last = int((Decimal(str(high)) / Decimal(str(q))).to_integral_value(ROUND_FLOOR))
    if first > last:  # a step wider than the range: the nearest multiple of either bound
        first, last = nearest(low), nearest(high)

    def index(value: Any) -> int | None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return None
        n = nearest(value)
        return n - first if first <= n <= last and math.isclose(n * q, value, rel_tol=1e-9, abs_tol=1e-9 * q) else None

    return Levels(
        path,
        last - first + 1,
        lambda i: back(first + i),
        index,
        True,
        lambda u: min(max(nearest(low + (high - low) * u), first), last) - first,
    )


Quantile = tuple[Callable[[float], float], Callable[[float], float]]


def real(
    path: Path,
    spec: Mapping[str, Any],
    at: Callable[[float], float],
    position: Callable[[float], float],
    *,
    quantised: bool,
) -> Real:
    """A continuous parameter from its quantile function and inverse, rounded to multiples of `q` if `quantised`."""
    if not quantised:
        return Real(path, at, position)
    nearest, back = rounder(spec.get("q", 1))
    return Real(path, lambda u: back(nearest(at(u))), position)


def _uniform(low: float, high: float) -> Quantile:
    return (lambda u: low + (high - low) * u), (lambda x: (x - low) / (high - low))


def _normal(spec: Mapping[str, Any]) -> Quantile:
    mu, sigma = float(spec.get("mu", 0.0)), float(spec.get("sigma", 1.0))
    if sigma == 0:
        return (lambda u: mu), (lambda x: 0.5)
    normal = NormalDist(mu, sigma)
    return (lambda u: normal.inv_cdf(min(max(u, _EDGE), 1 - _EDGE))), normal.cdf


def _beta(spec: Mapping[str, Any]) -> Quantile:
    from scipy.special import betainc, betaincinv

    a, b = float(spec.get("a", 1.0)), float(spec.get("b", 1.0))
    return (lambda u: float(betaincinv(a, b, u))), (lambda x: float(betainc(a, b, min(max(x, 0.0), 1.0))))


def _exp(base: Quantile) -> Quantile:
    at, position = base
    return (lambda u: math.exp(min(at(u), 709.0))), (lambda x: position(math.log(x)) if x > 0 else 0.0)


def _log_values(spec: Mapping[str, Any]) -> Quantile:
    return _exp(_uniform(math.log(spec["min"]), math.log(spec["max"])))


_QUANTILES: dict[str, Callable[[Mapping[str, Any]], Quantile]] = {
    "uniform": lambda spec: _uniform(spec["min"], spec["max"]),
    "log_uniform": lambda spec: _exp(_uniform(spec["min"], spec["max"])),
    "log_uniform_values": _log_values,
    "inv_log_uniform": lambda spec: _exp(_uniform(-spec["max"], -spec["min"])),
    "inv_log_uniform_values": _log_values,
    "q_log_uniform": lambda spec: _exp(_uniform(spec["min"], spec["max"])),
    "q_log_uniform_values": _log_values,
    "normal": _normal,
    "q_normal": _normal,
    "log_normal": lambda spec: _exp(_normal(spec)),
    "q_log_normal": lambda spec: _exp(_normal(spec)),
    "beta": _beta,
    "q_beta": _beta,
}

DISTRIBUTIONS = frozenset(
    {*_QUANTILES, "constant", "categorical", "categorical_w_probabilities", "int_uniform", "q_uniform"}
)
