"""Grid search: try each combination of values once, in W&B's order."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mnist_sweep.search.config import SweepConfig
from mnist_sweep.search.distributions import Discrete, Path, choices, exact, steps
from mnist_sweep.search.space import read, value_at
from mnist_sweep.search.specs import Categorical, Constant, QRange, Spec, WholeRange
from mnist_sweep.search.trial import Trial


def suggest(config: SweepConfig, trials: Sequence[Trial]) -> dict[str, Any] | None:
    """Return the first point of the grid that no trial has, or None if all have been tried.

    Names are sorted and the last one varies fastest; a parameter's values keep their order in the sweep file.
    """
    axes = axes_of(config)
    taken = {rank(axes, trial.params) for trial in trials}
    for number in range(math.prod(axis.count for axis in axes)):
        if number not in taken:
            return read(config).nest(point(axes, number))
    return None


def size(config: SweepConfig) -> int:
    """Return the number of different points."""
    return math.prod(axis.count for axis in axes_of(config))


def axes_of(config: SweepConfig) -> list[Discrete]:
    """Return the grid's parameters without constants, in W&B's order."""
    return [_axis(path, spec) for path, spec in config.leaves if not isinstance(spec, Constant)]


def _axis(path: Path, spec: Spec) -> Discrete:
    if isinstance(spec, Categorical):
        return choices(path, spec.values, keep_order=True)
    if isinstance(spec, WholeRange):
        return steps(path, spec.min, 1, spec.max - spec.min + 1)
    assert isinstance(spec, QRange)  # or no grid would have passed: W&B's starts at min, a multiple or not, without max
    low, high = exact(spec.min), exact(spec.max)
    return steps(path, low, spec.q, math.ceil((high - low) / exact(spec.q)))


def rank(axes: Sequence[Discrete], params: Mapping[str, Any]) -> int | None:
    """Return the number of a point in the grid, or None if the grid does not contain it."""
    number = 0
    for axis in axes:
        index = axis.index(value_at(params, axis.path))
        if index is None:
            return None
        number = number * axis.count + index
    return number


def point(axes: Sequence[Discrete], number: int) -> list[Any]:
    """Return the values of the grid point with this number: the inverse of `rank`."""
    values: list[Any] = []
    for axis in reversed(axes):
        number, index = divmod(number, axis.count)
        values.append(axis.at(index))
    return values[::-1]
