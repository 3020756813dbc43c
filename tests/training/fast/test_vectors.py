"""Vectors in compiled code against NumPy."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numba import njit

from mnist_sweep.training.fast import vectors
from mnist_sweep.training.fast.vectors import LANES, bits_below, full, load, random, store, where, with_sign

Floats = npt.NDArray[np.float32]

MANY = np.random.default_rng(0).normal(size=40 * LANES).astype(np.float32)


@pytest.mark.parametrize("operation", [operator.add, operator.sub, operator.mul])
def test_arithmetic(operation: Any) -> None:
    @njit
    def run(x: Floats, y: Floats) -> None:
        store(y, 3, operation(load(x, 5), load(x, 1)))

    out = np.zeros(24, np.float32)
    run(MANY, out)
    np.testing.assert_array_equal(out[3:19], operation(MANY[5:21], MANY[1:17]))
    assert not out[:3].any()
    assert not out[19:].any()


@njit
def compare(x: Floats, y: Floats) -> None:
    a, b, one, zero = load(x, 0), load(x, LANES), full(np.float32(1)), full(np.float32(0))
    store(y, 0, where(a < b, one, zero))
    store(y, LANES, where(a >= b, one, zero))
    store(y, 2 * LANES, where((a < zero) | (b < zero), one, zero))
    store(y, 3 * LANES, with_sign(vectors.magnitude(a), b))
    store(y, 4 * LANES, vectors.multiply_add(a, b, one))


def test_comparisons_and_signs() -> None:
    x = MANY[: 2 * LANES].copy()
    x[0], x[1], x[LANES + 2] = np.nan, -0.0, x[2]
    a, b = x.reshape(2, LANES)
    y = np.zeros(5 * LANES, np.float32)
    compare(x, y)
    less, not_less, either, signed, product = y.reshape(5, LANES)
    np.testing.assert_array_equal(less, a < b)
    np.testing.assert_array_equal(not_less, ~(a < b))
    np.testing.assert_array_equal(either, (a < 0) | (b < 0))
    np.testing.assert_array_equal(signed, np.copysign(a, b))
    np.testing.assert_allclose(product, a * b + 1, rtol=1e-6)


@njit
def draw(states: Floats, numbers: Floats, limit: np.uint32, count: int) -> int:
    a, b, below = load(states, 0), load(states, LANES), 0
    for i in range(count):
        number, a, b = random(a, b)
        store(numbers, i * LANES, number)
        store(states, 0, where(bits_below(number, limit), full(np.float32(1)), full(np.float32(0))))
        below += int(states[:LANES].sum())
    return below


def test_random_numbers_are_those_of_xoroshiro64_star() -> None:
    states = np.random.default_rng(1).integers(2**32, size=(2, LANES), dtype=np.uint32)
    expected, (a, b) = [], states.copy()
    for _ in range(50):
        expected.append(a * np.uint32(0x9E3779BB))
        b = a ^ b
        a, b = ((a << 26) | (a >> 6)) ^ b ^ (b << 9), (b << 13) | (b >> 19)
    numbers = np.zeros(50 * LANES, np.float32)
    below = draw(states.view(np.float32).reshape(-1).copy(), numbers, np.uint32(2**31 + 2**30), 50)
    np.testing.assert_array_equal(numbers.view(np.uint32).reshape(50, LANES), expected)
    assert below == (np.array(expected) < 2**31 + 2**30).sum()


@pytest.mark.parametrize(("outputs", "positions"), [(2, 3), (1, 4)])
@pytest.mark.parametrize("count", [1, 5])
def test_products(outputs: int, positions: int, count: int) -> None:
    function = vectors.products(outputs, positions)

    @njit
    def run(out: Floats, x: Floats, offsets: npt.NDArray[np.int64], weights: Floats, count: int) -> None:
        function(out, 2, 100, x, 7, offsets, weights, 1, count)

    out, offsets = np.zeros(400, np.float32), np.array([0, 64, 32, 16, 128])[:count]
    run(out, MANY, offsets, MANY[::-1].copy(), count)
    weights = MANY[::-1][1 : 1 + count * outputs].reshape(count, outputs)
    for o in range(outputs):
        for j in range(positions):
            rows = np.array([MANY[7 + offset + j * LANES :][:LANES] for offset in offsets])
            start = 2 + 100 * o + j * LANES
            np.testing.assert_allclose(out[start : start + LANES], weights[:, o] @ rows, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("outputs", "taps"), [(2, 3), (1, 1)])
def test_correlations(outputs: int, taps: int) -> None:
    function = vectors.correlations(outputs, taps)
    rows, columns = 2, 3

    @njit
    def run(sums: Floats, y: Floats, x: Floats, offsets: npt.NDArray[np.int64]) -> None:
        function(sums, 1, 60, y, 3, 150, 50, x, 2, 70, offsets, 1, rows, columns)

    sums, offsets = np.ones(200, np.float32), np.array([999, 0, 16, 160])
    run(sums, MANY, MANY[::-1].copy(), offsets)
    for o in range(outputs):
        for k in range(taps):
            total = np.ones(LANES, np.float32)
            for i in range(rows):
                for j in range(columns):
                    y = MANY[3 + o * 150 + i * 50 + j * LANES :][:LANES]
                    total = total + y * MANY[::-1][2 + offsets[1 + k] + i * 70 + j * LANES :][:LANES]
            start = 1 + o * 60 + k * LANES
            np.testing.assert_allclose(sums[start : start + LANES], total, rtol=1e-5, atol=1e-5)
