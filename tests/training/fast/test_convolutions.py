"""The compiled convolutions and their gradients against PyTorch's, in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.nn.grad import conv2d_weight

from mnist_sweep.training.fast import convolutions
from mnist_sweep.training.fast.fused import from_blocks, to_blocks


def close(mine: torch.Tensor, exact: torch.Tensor) -> None:
    scale = exact.abs().max()
    torch.testing.assert_close(mine.double() / scale, exact / scale, rtol=0, atol=5e-6)


@pytest.mark.parametrize("size", [1, 7, 16, 33])
@pytest.mark.parametrize(
    ("channels", "outputs", "height", "width"), [(5, 7, 9, 6), (2, 3, 6, 7), (1, 1, 3, 3), (8, 5, 4, 12)]
)
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_winograd(size: int, channels: int, outputs: int, height: int, width: int, padding: int) -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(size, channels, height, width, generator=random)
    weight = torch.randn(outputs, channels, 3, 3, generator=random)
    exact = F.conv2d(x.double(), weight.double(), padding=padding)
    close(from_blocks(convolutions.winograd(to_blocks(x), weight.numpy(), padding), size), exact)
    dy = torch.randn(exact.shape, generator=random)
    gradient = convolutions.winograd_weight_gradient(to_blocks(x), to_blocks(dy), padding)
    close(torch.from_numpy(gradient), conv2d_weight(x.double(), weight.shape, dy.double(), padding=padding))


@pytest.mark.parametrize("size", [1, 20])
@pytest.mark.parametrize(
    ("channels", "outputs", "filter_size", "padding", "groups"),
    [
        (1, 8, 3, 0, 1),
        (5, 7, 3, 1, 1),
        (6, 6, 3, 1, 6),
        (6, 6, 3, 0, 6),
        (6, 12, 3, 2, 6),
        (6, 4, 2, 1, 2),
        (9, 5, 1, 0, 1),
    ],
)
def test_direct(size: int, channels: int, outputs: int, filter_size: int, padding: int, groups: int) -> None:
    random = torch.Generator().manual_seed(1)
    x = torch.randn(size, channels, 6, 7, generator=random)
    weight = torch.randn(outputs, channels // groups, filter_size, filter_size, generator=random)
    exact = F.conv2d(x.double(), weight.double(), padding=padding, groups=groups)
    close(from_blocks(convolutions.direct(to_blocks(x), weight.numpy(), padding, groups), size), exact)
    dy = torch.randn(exact.shape, generator=random)
    gradient = convolutions.direct_weight_gradient(to_blocks(x), to_blocks(dy), filter_size, padding, groups)
    expected = conv2d_weight(x.double(), weight.shape, dy.double(), padding=padding, groups=groups)
    close(torch.from_numpy(gradient), expected)


def test_scratch_starts_at_a_cache_line() -> None:
    for size in (1, 100, 10_000):
        memory = convolutions.scratch(size)
        assert memory.shape == (size,)
        assert memory.dtype == np.float32
        assert memory.ctypes.data % 64 == 0
