"""The noise is learned, replicates are pooled, and what a replicate does to everybody is taken out."""

import numpy as np
import pytest

from mnist_sweep.search.gaussian_process import NoisyGaussianProcess


def test_the_noise_is_learned_and_the_truth_is_found_behind_it() -> None:
    rng = np.random.default_rng(0)
    x = rng.random(120)
    truth = np.sin(6 * x)
    model = NoisyGaussianProcess(x[:, None], (truth + rng.normal(0, 0.8, 120)).tolist(), [False], ["0"] * 120)
    assert model.noise == pytest.approx(0.8, rel=0.2)
    mean, deviation = model.posterior(x[:, None])
    assert np.sqrt(np.mean((mean - truth) ** 2)) < 0.3
    assert 0.05 < deviation.mean() < 0.4


def test_replicates_pool_and_their_common_part_goes() -> None:
    rng = np.random.default_rng(1)
    places = np.repeat(np.linspace(0, 1, 8), 4)
    replicates = np.tile(np.arange(4), 8)
    common = np.array([0.0, 3.0, -2.0, 1.0])
    losses = (places - 0.5) ** 2 + common[replicates] + rng.normal(0, 0.02, 32)
    model = NoisyGaussianProcess(places[:, None], losses.tolist(), [False], [str(r) for r in replicates])
    mean, _ = model.posterior(np.array([[0.0], [0.5], [1.0]]))
    assert mean[0] - mean[1] == pytest.approx(0.25, abs=0.12)
    assert mean[2] - mean[1] == pytest.approx(0.25, abs=0.12)
