"""What chance alone explains: the error of one measurement, and the best of several draws."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import stdev

import numpy as np

from mnist_sweep.search.goal import Goal


@dataclass(frozen=True)
class Noise:
    """The uncertainty of a fraction that was measured on `samples` samples."""

    samples: int
    error: float
    """One standard error (binomial), as a fraction."""


def noise(value: float, samples: int | None, *, fraction: bool) -> Noise | None:
    """Return the noise of the fraction `value`, or None if it cannot be computed."""
    if not samples or not fraction or not 0 < value < 1:
        return None
    return Noise(samples, math.sqrt(value * (1 - value) / samples))


def interval(values: Sequence[float]) -> float:
    """Return half the width of the 95 % interval of the mean (Student's t); NaN for fewer than two values."""
    if len(values) < 2:
        return math.nan
    from scipy.special import stdtrit  # scipy.stats has it too, but takes half a second and 40 MB

    return float(stdtrit(len(values) - 1, 0.975)) * stdev(values) / math.sqrt(len(values))


def expected_best(values: Sequence[float], quantile: float, goal: Goal = Goal.MAXIMIZE) -> list[float]:
    """Return the quantile of the best of the first n values over all their orders, for n = 1 … len(values).

    The quantile counts from the worst outcome: 0.9 is an outcome that one order in ten exceeds. It is exact: with
    larger values better, the best of n draws without replacement is at most the k-th smallest of N values with
    probability C(k, n) / C(N, n).
    """
    gains = np.sort([-goal.to_loss(value) for value in values])
    total = len(gains)
    found: list[float] = []
    below = np.ones(total)  # P(best of n <= k-th smallest), for k = 1 … N; n = 0 gives 1
    ranks = np.arange(1, total + 1)
    for n in range(total):
        below = below * np.clip(ranks - n, 0, None) / (total - n)
        found.append(goal.to_loss(-float(gains[np.searchsorted(below, quantile - 1e-12)])))
    return found
