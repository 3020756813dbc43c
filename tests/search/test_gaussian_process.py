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


def test_an_unordered_parameter_matters_only_by_being_equal() -> None:
    rng = np.random.default_rng(2)
    kinds = np.repeat(np.arange(3), 20)
    losses = np.array([0.0, 2.0, 0.5])[kinds] + rng.normal(0, 0.1, 60)
    model = NoisyGaussianProcess(kinds[:, None], losses.tolist(), [True], ["0"] * 60)
    mean, _ = model.posterior(np.array([[0.0], [1.0], [2.0]]))
    assert mean == pytest.approx([0.0, 2.0, 0.5], abs=0.2)
    _, unknown = model.posterior(np.array([[3.0]]))
    assert unknown[0] > 0.5, "a value that no run had is unknown"


def test_many_rows_are_all_used_although_the_kernel_is_fitted_to_some() -> None:
    rng = np.random.default_rng(3)
    x = rng.random(500)
    losses = np.sin(6 * x) + rng.normal(0, 0.3, 500)
    model = NoisyGaussianProcess(x[:, None], losses.tolist(), [False], ["0"] * 500)
    grid = np.linspace(0, 1, 50)
    mean, deviation = model.posterior(grid[:, None])
    assert np.abs(mean - np.sin(6 * grid)).max() < 0.25
    assert deviation.max() < 0.2


def test_draws_have_the_posterior_mean_and_deviation() -> None:
    rng = np.random.default_rng(4)
    x = rng.random(15)
    model = NoisyGaussianProcess(x[:, None], (x**2).tolist(), [False], ["0"] * 15)
    points = np.array([[0.1], [0.5], [0.9]])
    drawn = np.array([model.draw(points, rng) for _ in range(400)])
    mean, deviation = model.posterior(points)
    assert drawn.mean(0) == pytest.approx(mean, abs=4 * float(deviation.max()) / 20)
    assert drawn.std(0) == pytest.approx(deviation, rel=0.2)
