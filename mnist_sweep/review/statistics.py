"""What chance alone gives: the error of one measurement, and the best of several draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import stdev

import numpy as np


@dataclass(frozen=True)
class Noise:
    """How well one value of a share is known that was measured on `samples` samples."""

    samples: int
    error: float
    """One standard error (binomial), in the share's own unit."""


def noise(value: float, samples: int | None, *, fraction: bool) -> Noise | None:
    """The noise of the share `value`, or None where it cannot be told."""
    if not samples or not fraction or not 0 < value < 1:
        return None
    return Noise(samples, math.sqrt(value * (1 - value) / samples))


def interval(values: Sequence[float]) -> float:
    """Half the width of the 95 % interval of the mean of `values` (Student's t); NaN for fewer than two."""
    if len(values) < 2:
        return math.nan
    from scipy.special import stdtrit  # scipy.stats has it, too, and takes half a second and 40 MB

    return float(stdtrit(len(values) - 1, 0.975)) * stdev(values) / math.sqrt(len(values))


def expected_best(values: Sequence[float], quantile: float, sign: float = 1.0) -> list[float]:
    """The quantile of the best of the first n values over all orders of them, for n = 1 … len(values).

    Exact: the best of n drawn without replacement is at most the k-th smallest with probability C(k, n) / C(N, n).
    """
    ordered = np.sort(np.asarray(values, dtype=float) * sign)
    total = len(ordered)
    found: list[float] = []
    below = np.ones(total)  # P(best of n <= k-th smallest), for k = 1 … N; n = 0 gives 1
    ranks = np.arange(1, total + 1)
    for n in range(total):
        below = below * np.clip(ranks - n, 0, None) / (total - n)
        found.append(float(ordered[np.searchsorted(below, quantile - 1e-12)] * sign))
    return found
