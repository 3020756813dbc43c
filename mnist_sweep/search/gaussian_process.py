"""A Gaussian process for noisy runs: the posterior of the true loss when every training gives another number.

Run i has an encoded configuration x, a replicate r and a loss y. The model is

    y = mean + f(x) + offset(r) + noise

f has a Matérn 5/2 kernel with one length per parameter. The offset is what a replicate makes easier or harder for every
configuration; offsets and noise are independent and normal. Lengths and variances take their most probable values
under the priors below (Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, chapter 5).
docs/search.md compares it with Optuna's and BoTorch's processes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_FITTED_ROWS = 200  # rows that the kernel is fitted to: a step of the fit costs the cube of this
_MAX_STEPS = 80  # of the optimiser
_JITTER = 1e-6  # share of the signal's variance that keeps covariance matrices positive despite rounding
_BOUND = 8.0  # of all logarithms

# Normal priors of logarithms, for encoded parameters in 0 … 1 and losses of mean 0 and deviation 1.
_FEW = 10  # parameters
_SIGNAL = (0.0, 1.0)  # mean and deviation of the log variance
_NOISE = (-0.5, 1.0)  # about as large as the signal: the runs decide
_OFFSET = (-1.0, 1.0)


class NoisyGaussianProcess:
    """The posterior of a function that is observed with noise. Lower is better, as for every loss here."""

    def __init__(
        self, encoded: Any, losses: Sequence[float], unordered: Sequence[bool], replicates: Sequence[str]
    ) -> None:
        """Fit to runs.

        Args:
            encoded: shape (runs, parameters), from `Parameter.encode`: 0 … 1, or the index of an unordered value.
            losses: the loss of each run.
            unordered: which parameters are categories without an order.
            replicates: the replicate of each run. Configurations on the same replicates are compared pairwise.
        """
        self._unordered = np.asarray(unordered, bool)
        points, y = np.asarray(encoded, float), np.asarray(losses, float)
        self._levels = [np.unique(points[:, i]) for i in np.flatnonzero(self._unordered)]
        self._centre, self._unit = float(y.mean()), float(y.std()) or 1.0
        rows = (y - self._centre) / self._unit
        names, index = np.unique(np.asarray(replicates), return_inverse=True)
        self._features, columns = self._expand(points)
        same = (index[:, None] == index[None, :]).astype(float) if len(names) > 1 else None
        chosen = _representative(rows)
        self._kernel = _fit(
            self._features[chosen], columns, rows[chosen], None if same is None else same[np.ix_(chosen, chosen)]
        )
        self._scale = self._kernel.scales[columns]
        matrix = self._covariance(self._features, self._features)
        matrix += self._kernel.noise * np.eye(len(rows))
        if same is not None:
            matrix += self._kernel.offset * same
        self._cholesky = np.linalg.cholesky(matrix)
        self._weights = np.linalg.solve(self._cholesky, rows)

    def _expand(self, points: Any) -> tuple[Any, Any]:
        """Return features whose squared distances are those of the parameters, and the parameter of each feature.

        Two different values of an unordered parameter have the distance 1: it becomes one column per value that a run
        had, 1/√2 for that value and 0 elsewhere.
        """
        ordered = np.flatnonzero(~self._unordered)
        features, columns = [points[:, ordered]], [ordered]
        for parameter, levels in zip(np.flatnonzero(self._unordered), self._levels, strict=True):
            features.append((points[:, parameter, None] == levels) / math.sqrt(2))
            columns.append(np.full(len(levels), parameter))
        return np.hstack(features), np.concatenate(columns)

    def _covariance(self, left: Any, right: Any) -> Any:
        """Return the covariance of f between two sets of features."""
        return self._kernel.signal * _matern(_squared_distances(left * self._scale, right * self._scale))[0]

    def _posterior(self, encoded: Any) -> tuple[Any, Any, Any]:
        """Return the features of the points, their standardised means, and what to subtract from their covariance."""
        from scipy.linalg import solve_triangular

        features, _ = self._expand(np.asarray(encoded, float))
        reduced = solve_triangular(self._cholesky, self._covariance(self._features, features), lower=True)
        return features, reduced.T @ self._weights, reduced

    @property
    def noise(self) -> float:
        """Standard deviation of one run's noise, in the losses' unit."""
        return math.sqrt(self._kernel.noise) * self._unit

    def posterior(self, encoded: Any) -> tuple[Any, Any]:
        """Return mean and standard deviation of the true loss at each point, each of shape (points,)."""
        _, mean, reduced = self._posterior(encoded)
        variance = np.maximum(self._kernel.signal - (reduced**2).sum(0), 0.0)
        return mean * self._unit + self._centre, np.sqrt(variance) * self._unit

    def draw(self, encoded: Any, rng: Any) -> Any:
        """Return the values at these points of one function drawn from the posterior, shape (points,)."""
        features, mean, reduced = self._posterior(encoded)
        covariance = self._covariance(features, features) - reduced.T @ reduced
        return self._sample(mean, covariance, rng)

    def draw_prior(self, encoded: Any, rng: Any) -> Any:
        """Return the values at these points of one function with the fitted kernel that has seen no run."""
        features, _ = self._expand(np.asarray(encoded, float))
        return self._sample(np.zeros(len(features)), self._covariance(features, features), rng)

    def _sample(self, mean: Any, covariance: Any, rng: Any) -> Any:
        covariance[np.diag_indices(len(mean))] += _JITTER * self._kernel.signal + 1e-9
        drawn = mean + np.linalg.cholesky(covariance) @ rng.standard_normal(len(mean))
        return drawn * self._unit + self._centre


@dataclass(frozen=True, kw_only=True)
class _Kernel:
    """Fitted parameters; variances are in units of the losses' own variance."""

    scales: Any
    """One over the length of each parameter, shape (parameters,)."""
    signal: float
    noise: float
    offset: float


def _squared_distances(left: Any, right: Any) -> Any:
    squares = (left**2).sum(1)[:, None] + (right**2).sum(1)[None, :] - 2 * left @ right.T
    return np.maximum(squares, 0.0)


def _matern(squared: Any) -> tuple[Any, Any]:
    """Return the Matérn 5/2 correlation at squared distances, and its derivative by them."""
    root = np.sqrt(5 * squared)
    decay = np.exp(-root)
    return (1 + root + 5 / 3 * squared) * decay, -5 / 6 * (1 + root) * decay


def _representative(rows: Any) -> Any:
    """Return the indices of the rows to fit: all, or the best half of the limit and an even selection of the others."""
    if len(rows) <= _FITTED_ROWS:
        return np.arange(len(rows))
    order, half = np.argsort(rows, kind="stable"), _FITTED_ROWS // 2
    rest = order[half:]
    return np.r_[order[:half], rest[np.linspace(0, len(rest) - 1, half).astype(int)]]


def _length_prior(parameters: int) -> tuple[float, float]:
    """Return the median of a parameter's length, and the deviation of its logarithm.

    Distances grow with the root of the number of parameters, and so do plausible lengths (Hvarfner, Hellsten and Nardi
    2024, https://arxiv.org/abs/2402.02229). Both rules were chosen by measurement: on test functions with 2 to 8
    parameters, and on recorded trainings with 19 (docs/search.md).
    """
    return (1.0, 1.0) if parameters <= _FEW else (0.7 * math.sqrt(parameters), 0.7)


def _fit(features: Any, columns: Any, rows: Any, same: Any) -> _Kernel:
    """Return the most probable kernel.

    Args:
        features: shape (rows, features).
        columns: the parameter that each feature belongs to.
        rows: standardised losses.
        same: shape (rows, rows), 1 where two rows share a replicate; None if all do.
    """
    from scipy.linalg import cho_solve, lapack
    from scipy.optimize import minimize

    count, parameters = len(rows), int(columns.max()) + 1
    member = columns[:, None] == np.arange(parameters)  # features by parameters
    squares, diagonal = features**2, np.diag_indices(count)
    length, deviation = _length_prior(parameters)
    inverse_squared = -2 * math.log(length)  # the logarithm of the prior's median
    means = np.r_[np.full(parameters, inverse_squared), _SIGNAL[0], _NOISE[0], _OFFSET[0]]
    deviations = np.r_[np.full(parameters, 2 * deviation), _SIGNAL[1], _NOISE[1], _OFFSET[1]]

    def energy(theta: Any) -> tuple[float, Any]:
        """Return the negative log posterior (up to a constant) and its gradient by theta.

        theta holds the logarithms of the inverse squared lengths, then of the variances of signal, noise and offset.
        """
        inverse = np.exp(theta[:parameters])
        signal, noise, offset = np.exp(theta[parameters:])
        scaled = features * np.sqrt(inverse)[columns]
        correlation, slope = _matern(_squared_distances(scaled, scaled))
        matrix = signal * correlation
        matrix[diagonal] += noise + _JITTER * signal
        if same is not None:
            matrix += offset * same
        cholesky, failed = lapack.dpotrf(matrix, lower=True, clean=True)
        if failed:
            return 1e10, np.zeros_like(theta)
        weights = cho_solve((cholesky, True), rows)
        difference = theta - means
        value = 0.5 * rows @ weights + np.log(np.diag(cholesky)).sum() + 0.5 * ((difference / deviations) ** 2).sum()
        outer = 0.5 * (cho_solve((cholesky, True), np.eye(count)) - np.outer(weights, weights))
        sloped = outer * slope * signal
        by_feature = 2 * (sloped.sum(1) @ squares - np.einsum("if,if->f", features, sloped @ features))
        gradient = difference / deviations**2
        gradient[:parameters] += inverse * (by_feature @ member)
        gradient[parameters] += signal * (outer * correlation).sum()
        gradient[parameters + 1] += noise * np.trace(outer)
        if same is not None:
            gradient[parameters + 2] += offset * (outer * same).sum()
        return float(value), gradient

    bounds = [(-_BOUND, _BOUND)] * len(means)
    found = minimize(energy, means, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _MAX_STEPS})
    signal, noise, offset = np.exp(found.x[parameters:])
    return _Kernel(
        scales=np.exp(found.x[:parameters] / 2), signal=float(signal), noise=float(noise), offset=float(offset)
    )
