"""What the compiled kernels share: compilation, memory, and sums of products over blocks of sixteen images.

An activation is blocks x channels x height x width x 16, in a flat float32 array. Positions are those of `vectors`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from mnist_sweep.training.fast.vectors import LANES, correlations, full, load, products, store

Floats = npt.NDArray[np.float32]


def compiled(function: Any, **options: Any) -> Any:
    """Compile `function` with Numba at its first call, and cache the result on disk."""
    options |= {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    try:
        return njit(function, cache=True, **options)
    except RuntimeError:  # no folder for the cache is writable
        return njit(function, **options)


# As many sums as fit into the sixteen registers of AVX2.
_products_2_3, _products_2_2, _products_2_1, _products_1_4, _products_1_1 = (
    products(outputs, positions) for outputs, positions in ((2, 3), (2, 2), (2, 1), (1, 4), (1, 1))
)
_correlations_2_3, _correlations_2_2, _correlations_2_1, _correlations_1_3, _correlations_1_1 = (
    correlations(outputs, taps) for outputs, taps in ((2, 3), (2, 2), (2, 1), (1, 3), (1, 1))
)


@compiled
def scratch(size: Any) -> Any:
    """Return `size` uninitialised float32 that start at a cache line."""
    memory = np.empty(size + LANES, np.float32)
    skip = (-(memory.ctypes.data >> 2)) & (LANES - 1)
    return memory[skip : skip + size]


@compiled
def pack(weights: Any) -> Any:
    """Reorder weights (outputs x count) for `multiply`: two outputs together, and an odd one alone."""
    outputs, count = weights.shape
    packed = np.empty(outputs * count, np.float32)
    for o in range(outputs):
        first = o - o % 2
        for k in range(count):
            if first + 2 <= outputs:
                packed[first * count + k * 2 + o - first] = weights[o, k]
            else:
                packed[o * count + k] = weights[o, k]
    return packed


@compiled
def multiply(
    out: Any,
    out_at: Any,
    out_step: Any,
    outputs: Any,
    columns: Any,
    x: Any,
    x_at: Any,
    offsets: Any,
    weights: Any,
    weights_at: Any,
) -> Any:
    """Compute `columns` vectors of each of `outputs` rows. See `vectors.products`."""
    count = offsets.shape[0]
    for o in range(0, outputs, 2):
        at, w, j = out_at + o * out_step, weights_at + o * count, 0
        while j < columns:
            left, to, start = columns - j, at + j * LANES, x_at + j * LANES
            if o + 2 <= outputs:
                if left == 3 or left >= 5:
                    _products_2_3(out, to, out_step, x, start, offsets, weights, w, count)
                    j += 3
                elif left >= 2:
                    _products_2_2(out, to, out_step, x, start, offsets, weights, w, count)
                    j += 2
                else:
                    _products_2_1(out, to, out_step, x, start, offsets, weights, w, count)
                    j += 1
            elif left >= 4:
                _products_1_4(out, to, out_step, x, start, offsets, weights, w, count)
                j += 4
            else:
                _products_1_1(out, to, out_step, x, start, offsets, weights, w, count)
                j += 1


@compiled
def correlate(
    sums: Any,
    sums_at: Any,
    outputs: Any,
    y: Any,
    y_at: Any,
    y_step: Any,
    y_row: Any,
    x: Any,
    x_at: Any,
    x_row: Any,
    offsets: Any,
    rows: Any,
    columns: Any,
) -> Any:
    """Add to outputs x count vectors of `sums`. See `vectors.correlations`."""
    count = offsets.shape[0]
    step = count * LANES
    for o in range(0, outputs, 2):
        first, k = y_at + o * y_step, 0
        while k < count:
            at, left = sums_at + o * step + k * LANES, count - k
            if o + 2 <= outputs:
                if left == 3 or left >= 5:
                    _correlations_2_3(
                        sums, at, step, y, first, y_step, y_row, x, x_at, x_row, offsets, k, rows, columns
                    )
                    k += 3
                elif left >= 2:
                    _correlations_2_2(
                        sums, at, step, y, first, y_step, y_row, x, x_at, x_row, offsets, k, rows, columns
                    )
                    k += 2
                else:
                    _correlations_2_1(
                        sums, at, step, y, first, y_step, y_row, x, x_at, x_row, offsets, k, rows, columns
                    )
                    k += 1
            elif left >= 3:
                _correlations_1_3(sums, at, step, y, first, y_step, y_row, x, x_at, x_row, offsets, k, rows, columns)
                k += 3
            else:
                _correlations_1_1(sums, at, step, y, first, y_step, y_row, x, x_at, x_row, offsets, k, rows, columns)
                k += 1


@compiled
def filter_offsets(channels: Any, rows: Any, columns: Any, height: Any, width: Any) -> Any:
    """Return where the inputs of a filter (channels x height x width) lie in an image (channels x rows x columns)."""
    offsets = np.empty(channels * height * width, np.int64)
    k = 0
    for c in range(channels):
        for r in range(height):
            for s in range(width):
                offsets[k] = ((c * rows + r) * columns + s) * LANES
                k += 1
    return offsets


@compiled
def copy_with_frame(x: Any, block: Any, frame: Any, rows: Any, columns: Any, padding: Any) -> None:
    """Copy a block of `x` to `frame` (channels x rows x columns), with zeros around it."""
    _, channels, height, width, _ = x.shape
    flat, zero = x.reshape(x.size), full(np.float32(0))
    left, middle, row = padding * LANES, width * LANES, columns * LANES
    for c in range(channels):
        for i in range(rows):
            at, source = (c * rows + i) * row, ((block * channels + c) * height + i - padding) * middle
            if padding <= i < padding + height:
                for j in range(0, left, LANES):
                    store(frame, at + j, zero)
                for j in range(0, middle, LANES):
                    store(frame, at + left + j, load(flat, source + j))
                for j in range(left + middle, row, LANES):
                    store(frame, at + j, zero)
            else:
                for j in range(0, row, LANES):
                    store(frame, at + j, zero)


@compiled
def add_lanes(sums: Any) -> Any:
    """Return the sum of each vector's elements."""
    totals = np.empty(sums.size // LANES, np.float32)
    for i in range(totals.size):
        total = np.float64(0)
        for lane in range(LANES):
            total += sums[i * LANES + lane]
        totals[i] = total
    return totals
