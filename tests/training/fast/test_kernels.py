"""The compiled kernels against NumPy and PyTorch; `test_fused.py` compares whole layers."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mnist_sweep.training.fast import kernels
from mnist_sweep.training.fast.blocks import Floats
from mnist_sweep.training.fast.fused import from_blocks, to_blocks, valid


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("size", [1, 5, 16, 40])
def test_normalise_has_the_statistics_of_batch_norm(size: int, relu: bool) -> None:
    x = torch.randn(size, 3, 5, 4, generator=torch.Generator().manual_seed(0)).add_(3)
    blocks, norm = to_blocks(x), nn.BatchNorm2d(3)
    blocks[-1, ..., (size - 1) % 16 + 1 :] = 1e6  # images beyond the batch do not count
    running_mean, running_var = np.zeros(3, np.float32), np.ones(3, np.float32)
    mean, inverse = kernels.normalise(blocks, valid(size), relu, norm.eps, running_mean, running_var, 0.1)
    values = x.relu() if relu else x
    norm(values)
    variance = values.var((0, 2, 3), unbiased=False)
    np.testing.assert_allclose(mean, values.mean((0, 2, 3)).numpy(), rtol=1e-5)
    np.testing.assert_allclose(inverse, (variance + norm.eps).rsqrt().numpy(), rtol=1e-5)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    np.testing.assert_allclose(running_mean, norm.running_mean.numpy(), rtol=1e-5)
    np.testing.assert_allclose(running_var, norm.running_var.numpy(), rtol=1e-5)


def statistics(x: torch.Tensor, relu: bool = False) -> tuple[Floats, Floats]:
    """The means and inverse deviations of two channels."""
    zeros, ones = np.zeros(2, np.float32), np.ones(2, np.float32)
    mean, inverse = kernels.normalise(to_blocks(x), valid(len(x)), relu, 0.0, zeros, ones, 0.1)
    return mean, inverse


def test_a_large_mean_costs_no_precision() -> None:
    x = torch.randn(64, 2, 8, 8, generator=torch.Generator().manual_seed(1)) + 1e4
    mean, inverse = statistics(x)
    exact = x.double()
    np.testing.assert_allclose(mean, exact.mean((0, 2, 3)).numpy(), rtol=1e-6)
    np.testing.assert_allclose(inverse, exact.std((0, 2, 3), correction=0).reciprocal().numpy(), rtol=1e-3)


def test_many_equal_elements_cost_no_precision() -> None:
    """Half of what a ReLU returns is zero, and rounding errors of equal additions add up."""
    x = torch.randn(128, 2, 26, 26, generator=torch.Generator().manual_seed(2))
    x[0, :, 0] = 3
    mean, inverse = statistics(x, relu=True)
    exact = x.double().relu()
    np.testing.assert_allclose(mean, exact.mean((0, 2, 3)).numpy(), rtol=3e-7)
    np.testing.assert_allclose(inverse, exact.std((0, 2, 3), correction=0).reciprocal().numpy(), rtol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_average_pool(size: int) -> None:
    x = torch.randn(20, 3, 7, 6, generator=torch.Generator().manual_seed(3)).requires_grad_()
    expected = F.avg_pool2d(x, size)
    y = from_blocks(kernels.average_pool(to_blocks(x), size), 20)
    torch.testing.assert_close(y, expected)
    direction = torch.randn_like(expected)
    (gradient,) = torch.autograd.grad(expected, x, direction)
    dx = from_blocks(kernels.average_pool_backward(to_blocks(direction), size, 7, 6), 20)
    torch.testing.assert_close(dx, gradient)


def test_the_identity_transform_only_normalises() -> None:
    images = np.random.default_rng(0).integers(256, size=(3, 28, 28), dtype=np.uint8)
    out = np.empty((3, 28 * 28), np.float32)
    kernels.augment(images, np.zeros((8, 3), np.float32), 0.5, 0.25, out)
    expected = (images.astype(np.float32).reshape(3, -1) / 255 - 0.5) / 0.25
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)
