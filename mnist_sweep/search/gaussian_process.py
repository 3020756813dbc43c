"""What a configuration is worth where every run of it gives another number: a Gaussian process that learns the noise.

The process and its fit are Optuna's (`optuna._gp`, the part of its `GPSampler` that takes a prior and has a joint
posterior; the sampler itself expects hardly any noise, and counts improvement from the luckiest run). Several runs of
one configuration are rows of their own: that pools them as their mean, with the noise's variance over their number.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna._gp.gp import GPRegressor

_FITTED = 200  # rows that the kernel is fitted to: a fit costs the cube of this, many times over
_ROUNDS = 2  # of taking out what replicates have in common, each with a fit
_DOUBT = 1.0  # rows that a replicate's own offset is worth beforehand
_LEAST = 1e-6  # variance of the noise


class NoisyGaussianProcess:
    """The posterior of a function seen through noise. Lower is better, as for every loss here."""

    def __init__(self, places: Any, losses: Sequence[float], names: Sequence[bool], replicates: Sequence[str]) -> None:
        """Fit to runs.

        Args:
            places: one row per run, one column per parameter, as `Parameter.place` has it.
            losses: what each run gave.
            names: which columns are mere names, without order.
            replicates: which replicate each run is. What one has in common for all configurations is taken out: with
                the same replicates, configurations are compared pairwise.
        """
        import numpy as np

        self.places, self._names = np.asarray(places, float), np.asarray(names, bool)
        y = np.asarray(losses, float)
        kinds, index = np.unique(np.asarray(replicates), return_inverse=True)
        counts, offsets, expected = np.bincount(index), np.zeros(len(kinds)), np.full(len(y), y.mean())
        for _ in range(_ROUNDS if len(kinds) > 1 else 1):
            if len(kinds) > 1:
                offsets += np.bincount(index, y - offsets[index] - expected) / (counts + _DOUBT)
                offsets -= offsets[index].mean()
            rows = y - offsets[index]
            self._centre, self._unit = float(rows.mean()), float(rows.std()) or 1.0
            self._process = self._fit((rows - self._centre) / self._unit)
            expected = self.posterior(self.places)[0]

    def _fit(self, rows: Any) -> "GPRegressor":
        import numpy as np
        from optuna._gp import gp

        chosen = np.arange(len(rows))
        if len(rows) > _FITTED:  # the best half, and an even selection of the others
            order = np.argsort(rows, kind="stable")
            rest = order[_FITTED // 2 :]
            chosen = np.r_[order[: _FITTED // 2], rest[np.linspace(0, len(rest) - 1, _FITTED // 2).astype(int)]]
        fitted = gp.fit_kernel_params(
            X=self.places[chosen],
            Y=rows[chosen],
            is_categorical=self._names,
            log_prior=_log_prior,
            minimum_noise=_LEAST,
            deterministic_objective=False,
        )
        return fitted if len(chosen) == len(rows) else self._condition(fitted, rows)

    def _condition(self, fitted: "GPRegressor", rows: Any) -> "GPRegressor":
        """The same kernel, given all rows."""
        import torch
        from optuna._gp.gp import GPRegressor

        process = GPRegressor(
            is_categorical=torch.from_numpy(self._names),
            X_train=torch.from_numpy(self.places),
            y_train=torch.from_numpy(rows),
            inverse_squared_lengthscales=fitted.inverse_squared_lengthscales,
            kernel_scale=fitted.kernel_scale,
            noise_var=fitted.noise_var,
        )
        process._cache_matrix()
        return process

    def _values(self, places: Any, *, joint: bool = False) -> tuple[Any, Any]:
        import torch

        with torch.no_grad():
            mean, spread = self._process.posterior(torch.from_numpy(places), joint=joint)
        return mean.numpy(), spread.numpy()

    @property
    def noise(self) -> float:
        """Standard deviation of one run, in the losses' unit."""
        return math.sqrt(float(self._process.noise_var)) * self._unit

    def posterior(self, places: Any) -> tuple[Any, Any]:
        """Mean and standard deviation of the true loss at each place."""
        import numpy as np

        mean, variance = self._values(np.asarray(places, float))
        return mean * self._unit + self._centre, np.sqrt(variance) * self._unit

    def draw(self, places: Any, rng: Any) -> Any:
        """One function drawn from the posterior, at these places."""
        import numpy as np

        mean, covariance = self._values(np.asarray(places, float), joint=True)
        # rounding can leave a large matrix just short of positive
        covariance[np.diag_indices(len(mean))] += 1e-6 * float(self._process.kernel_scale) + 1e-9
        drawn = mean + np.linalg.cholesky(covariance) @ rng.standard_normal(len(mean))
        return drawn * self._unit + self._centre


def _log_prior(process: "GPRegressor") -> Any:
    """Lengths about the space's own, and noise about as large as what there is to find: the runs decide."""
    length = -0.5 * process.inverse_squared_lengthscales.log()
    scale, noise = process.kernel_scale.log(), process.noise_var.log()
    return -(length**2).sum() / 6 - scale**2 / 2 - (noise + 0.5) ** 2 / 2
