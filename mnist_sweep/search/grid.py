"""Grid search: every combination once, in W&B's order."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mnist_sweep.search.distributions import Levels, Path, choices, distribution, exact, steps
from mnist_sweep.search.space import leaves, read, value_at
from mnist_sweep.search.trial import Trial

GRID_DISTRIBUTIONS = frozenset({"constant", "categorical", "int_uniform", "q_uniform"})


def suggest(config: Mapping[str, Any], trials: Sequence[Trial]) -> dict[str, Any] | None:
    """The first point of the grid that no trial has, or None when there is none left.

    Names are sorted and the last one varies fastest; a parameter's values keep their order in the sweep file.
    """
    axes = axes_of(config)
    taken = {rank(axes, trial.params) for trial in trials}
    for number in range(math.prod(axis.count for axis in axes)):
        if number not in taken:
            return read(config).nest(point(axes, number))
    return None


def size(config: Mapping[str, Any]) -> int:
    """How many different points the grid has."""
    return math.prod(axis.count for axis in axes_of(config))


def axes_of(config: Mapping[str, Any]) -> list[Levels]:
    """The parameters of a grid with the values it visits, constants left out, in W&B's order."""
    return [_axis(path, spec) for path, spec in leaves(config["parameters"]) if distribution(spec) != "constant"]


def _axis(path: Path, spec: Mapping[str, Any]) -> Levels:
    if distribution(spec) == "categorical":
        return choices(path, spec["values"], keep_order=True)
    low, high = exact(spec["min"]), exact(spec["max"])
    if distribution(spec) == "int_uniform":
        return steps(path, low, 1, int(high - low) + 1)
    q = spec.get("q", 1)  # q_uniform: W&B's grid starts at min, whether it is a multiple or not, and leaves max out
    return steps(path, low, q, math.ceil((high - low) / exact(q)))


def rank(axes: Sequence[Levels], params: Mapping[str, Any]) -> int | None:
    """The number of a point in the grid, or None if it lies beside it."""
    number = 0
    for axis in axes:
        index = axis.index(value_at(params, axis.path))
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
