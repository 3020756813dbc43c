"""The compiled kernels against NumPy and PyTorch; `test_fused.py` compares whole layers."""

import numpy as np
import pytest
import torch
from torch import nn

from mnist_sweep.training.fast import kernels


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bits_share_the_memory_of_the_tensor(dtype: torch.dtype) -> None:
    x = torch.tensor([1.0, -2.5], dtype=dtype)
    bits = kernels.bits(x)
    assert bits.dtype == (np.uint32 if dtype is torch.float32 else np.uint16)
    bits[0] = bits[1]
    assert x.tolist() == [-2.5, -2.5]


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_normalise_has_the_statistics_of_batch_norm(dtype: torch.dtype, relu: bool) -> None:
    n, h, w, c = 5, 3, 4, 2
    x = torch.randn(n, c, h, w, generator=torch.Generator().manual_seed(0)).add_(3).to(dtype)
    rows = x.permute(0, 2, 3, 1).reshape(n * h, w * c).contiguous()
    norm = nn.BatchNorm2d(c)
    mean, inverse = kernels.normalise(
        kernels.bits(rows), relu, norm.eps, (m := np.zeros(c, np.float32)), (v := np.ones(c, np.float32)), 0.1
    )
    values = x.float().relu() if relu else x.float()
    norm(values)
    variance = values.var((0, 2, 3), unbiased=False)
    np.testing.assert_allclose(mean, values.mean((0, 2, 3)).numpy(), rtol=1e-5)
    np.testing.assert_allclose(inverse, (variance + norm.eps).rsqrt().numpy(), rtol=1e-5)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    np.testing.assert_allclose(m, norm.running_mean.numpy(), rtol=1e-5)
    np.testing.assert_allclose(v, norm.running_var.numpy(), rtol=1e-5)


def test_a_large_mean_costs_no_precision() -> None:
    x = torch.randn(64, 8, generator=torch.Generator().manual_seed(1)) + 1e4
    mean, inverse = kernels.normalise(kernels.bits(x), False, 0.0, np.zeros(8, np.float32), np.ones(8, np.float32), 0.1)
    exact = x.double()
    np.testing.assert_allclose(mean, exact.mean(0).numpy(), rtol=1e-6)
    np.testing.assert_allclose(inverse, exact.std(0, correction=0).reciprocal().numpy(), rtol=1e-3)


def test_the_identity_transform_only_normalises() -> None:
    images = np.random.default_rng(0).integers(256, size=(3, 28, 28), dtype=np.uint8)
    out = torch.empty(3, 28 * 28)
    kernels.augment(images, np.zeros((8, 3), np.float32), 0.5, 0.25, kernels.bits(out))
    expected = (torch.from_numpy(images).float().flatten(1) / 255 - 0.5) / 0.25
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)
