"""PED-ANOVA: how differently a field is distributed among the best trials compared with all of them.

Watanabe, Bansal and Hutter, IJCAI 2023, https://arxiv.org/abs/2304.10255. The results equal those of Optuna's
`PedAnovaImportanceEvaluator` (a test compares them): kernel densities on a grid of at most 50 cells, with the width of
Scott's rule and one more kernel as a prior, and their Pearson divergence. Optuna reads all trials again for every
evaluation. Here an evaluation is a sum over cells, so evaluating shuffled losses is cheap with thousands of trials.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mnist_sweep.review.records import SweepField

Floats = NDArray[np.float64]
CELLS = 50
NARROWEST = 0.5 / 1.64
"""The smallest width of a kernel in cells: 90 % of it lie in one cell."""
_FLOOR = 1e-12


@dataclass(frozen=True)
class Grid:
    """The cell of a field's range in which each trial lies. Neighbouring cells are similar if it is `ordered`."""

    cells: NDArray[np.int64]
    size: int
    ordered: bool

    @classmethod
    def of(cls, field: SweepField, values: Sequence[Any]) -> Self:
        """Return the grid of a field. `values` has one value per trial; values outside the field's range widen it."""
        if field.kind == "categorical":
            known = {value: place for place, value in enumerate(dict.fromkeys(values))}
            return cls(np.array([known[value] for value in values]), len(known), ordered=False)
        low, high = (
            edge([*values, *([] if bound is None else [bound])])
            for edge, bound in ((min, field.low), (max, field.high))
        )
        log = field.log and low > 0
        size = CELLS
        if field.kind == "int":
            low, high = int(low), int(high)
            size = min(CELLS, math.ceil(math.log2(high - low + 1)) + 1 if log else high - low + 1)
        places = np.array(values, dtype=float)
        if log:
            places, low, high = np.log(places), math.log(low), math.log(high)
        cells = np.ceil((places - low) / (high - low) * (size - 1) - 0.5).astype(np.int64)  # between two: the lower
        return cls(np.clip(cells, 0, size - 1), size, ordered=True)

    def divergence(self, best: NDArray[np.bool_]) -> float:
        """Return how much the `best` trials, one flag per trial, differ from all of them; 0 is not at all."""
        share = np.count_nonzero(best) / len(best)
        return float(self._all @ (self._density(self.cells[best]) / self._all - 1) ** 2) * share**2

    @cached_property
    def _all(self) -> Floats:
        return self._density(self.cells)

    def _density(self, cells: NDArray[np.int64]) -> Floats:
        counts = np.bincount(cells, minlength=self.size)
        seen = np.flatnonzero(counts)
        weights = np.append(counts[seen], 1.0)
        kernels = self._normal(seen, counts[seen]) if self.ordered else self._spread(seen)
        found: Floats = weights / weights.sum() @ kernels + _FLOOR
        return found

    def _spread(self, seen: NDArray[np.int64]) -> Floats:
        """Return a kernel for each occupied cell, which gives some weight to the others, and an even one."""
        kernels = np.full((len(seen) + 1, self.size), 1 / (len(seen) + 1))
        kernels[np.arange(len(seen)), seen] += 1
        kernels /= kernels.sum(axis=1, keepdims=True)
        return kernels

    def _normal(self, seen: NDArray[np.int64], weights: NDArray[np.int64]) -> Floats:
        """Return normal kernels, cut off at the grid's ends: one for each occupied cell, and a wide one."""
        total = weights.sum()
        deviation = math.sqrt(weights @ (seen - weights @ seen / total) ** 2 / max(1, total - 1))
        below = np.cumsum(weights)
        first = seen[np.searchsorted(below, total // 4, side="left")]
        third = seen[min(len(seen) - 1, int(np.searchsorted(below, total * 3 // 4, side="right")))]
        width = 1.059 * min((third - first) / 1.34, deviation) * total**-0.2
        places = np.arange(self.size + 1)
        below_distance = _normal_below(np.arange(1 - self.size, self.size + 1) - 0.5, max(width, NARROWEST))
        narrow = below_distance[places - seen[:, np.newaxis] + self.size - 1]
        edges = np.vstack([narrow, _normal_below(places - self.size / 2, self.size)])
        found: Floats = np.diff(edges) / (edges[:, -1:] - edges[:, :1])
        return found


def _normal_below(distances: Iterable[float], width: float) -> Floats:
    """Return the share of a normal kernel below edges at these distances from its centre."""
    return np.array([0.5 + 0.5 * math.erf(distance / width / math.sqrt(2)) for distance in distances])


def best(losses: Floats, quantile: float) -> NDArray[np.bool_]:
    """Return which trials are among the best: that share of them, and those as good as its last."""
    return losses <= np.quantile(losses, quantile, method="inverted_cdf")
