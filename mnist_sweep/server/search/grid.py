"""Grid search: every combination once, in W&B's order."""

import math
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Any

from mnist_sweep.server.search.space import Levels, Space, choices, distribution, leaves, read, value_at
from mnist_sweep.server.search.trial import Trial

GRID_DISTRIBUTIONS = frozenset({"constant", "categorical", "int_uniform", "q_uniform"})


def suggest(config: Mapping[str, Any], trials: Sequence[Trial]) -> dict[str, Any] | None:
    """The first point of the grid that no trial has, or None when there is none left.

    Names are sorted and the last one varies fastest; a parameter's values keep their order in the sweep file.
    """
    space, axes = axes_of(config)
    taken = {rank(axes, trial) for trial in trials}
    for number in range(math.prod(axis.count for axis in axes)):
        if number not in taken:
            return space.nest(point(axes, number))
    return None


def size(config: Mapping[str, Any]) -> int:
    """How many different points the grid has."""
    return math.prod(axis.count for axis in axes_of(config)[1])


def axes_of(config: Mapping[str, Any]) -> tuple[Space, list[Levels]]:
    """The search space and the values of each of its parameters, in the order a grid visits them."""
    space = read(config)
    axes: list[Levels] = []
    for path, spec in leaves(config["parameters"]):
        match distribution(spec):
            case "constant":
                continue
            case "categorical":
                axes.append(choices(path, spec["values"], keep_order=True))
            case "q_uniform":
                axes.append(_steps(path, spec["min"], spec["max"], spec.get("q", 1)))
            case _:
                axes.append(next(p for p in space.parameters if p.path == path and isinstance(p, Levels)))
    return space, axes


def rank(axes: Sequence[Levels], trial: Trial) -> int | None:
    """The number of a trial's point in the grid, or None if it lies beside it."""
    number = 0
    for axis in axes:
        index = axis.index(value_at(trial.params, axis.path))
        if index is None:
            return None
        number = number * axis.count + index
    return number


def point(axes: Sequence[Levels], number: int) -> list[Any]:
    """The values of the grid point with this number; the inverse of `rank`."""
    values: list[Any] = []
    for axis in reversed(axes):
        number, index = divmod(number, axis.count)
        values.append(axis.at(index))
    return values[::-1]


def _steps(path: tuple[str, ...], low: float, high: float, q: float) -> Levels:
    """W&B's grid over q_uniform: from `low` in steps of `q`, without `high`."""
    start, stop, step = (Decimal(str(x)) for x in (low, high, q))
    whole = isinstance(low, int) and isinstance(q, int)
    count = int(((stop - start) / step).to_integral_value(ROUND_CEILING))

    def at(i: int) -> Any:
        return low + i * q if whole else float(start + i * step)

    def index(value: Any) -> int | None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return None
        i = round((value - low) / q)
        return i if 0 <= i < count and math.isclose(at(i), value, rel_tol=1e-9, abs_tol=1e-9 * q) else None

    return Levels(path, count, at, index, True, lambda u: min(int(u * count), count - 1))
