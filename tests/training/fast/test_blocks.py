"""What the compiled kernels share, against NumPy."""

import numpy as np
import pytest

from mnist_sweep.training.fast.blocks import (
    Floats,
    add_lanes,
    copy_with_frame,
    correlate,
    filter_offsets,
    multiply,
    pack,
    scratch,
)
from mnist_sweep.training.fast.vectors import LANES


def drawn(*shape: int) -> Floats:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_scratch_starts_at_a_cache_line() -> None:
    assert [scratch(size).size for size in (1, 40)] == [1, 40]
    assert scratch(40).ctypes.data % 64 == 0


@pytest.mark.parametrize("outputs", [1, 2, 5])
@pytest.mark.parametrize("columns", [1, 2, 4, 7])
def test_weights_times_vectors(outputs: int, columns: int) -> None:
    x, weights = drawn(3, columns, LANES), drawn(outputs, 3)
    out = scratch(outputs * columns * LANES)
    offsets = np.arange(3) * columns * LANES
    multiply(out, 0, columns * LANES, outputs, columns, x.ravel(), 0, offsets, pack(weights), 0)
    np.testing.assert_allclose(out.reshape(outputs, columns, LANES), np.einsum("ok,kjl->ojl", weights, x), atol=1e-5)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_sums_of_products_are_added(outputs: int, count: int) -> None:
    x, y = drawn(count, 2, 4, LANES), drawn(outputs, 2, 4, LANES)
    sums = np.ones(outputs * count * LANES, np.float32)
    row, offsets = 4 * LANES, np.arange(count) * 8 * LANES
    correlate(sums, 0, outputs, y.ravel(), 0, 2 * row, row, x.ravel(), 0, row, offsets, 2, 4)
    exact = 1 + np.einsum("oijl,kijl->okl", y, x)
    np.testing.assert_allclose(sums.reshape(outputs, count, LANES), exact, atol=1e-5)
    np.testing.assert_allclose(add_lanes(sums).reshape(outputs, count), exact.sum(-1), atol=1e-4)


def test_a_frame_of_zeros_surrounds_an_image() -> None:
    x, frame = drawn(2, 3, 4, 5, LANES), scratch(3 * 7 * 7 * LANES)
    copy_with_frame(x, 1, frame, 7, 7, 1)
    exact = np.pad(x[1], ((0, 0), (1, 2), (1, 1), (0, 0)))
    np.testing.assert_array_equal(frame.reshape(exact.shape), exact)


def test_offsets_lead_to_the_inputs_of_a_filter() -> None:
    x = drawn(2, 4, 5, LANES)
    found = x.ravel()[filter_offsets(2, 4, 5, 3, 2)]
    np.testing.assert_array_equal(found, x[:, :3, :2, 0].ravel())
