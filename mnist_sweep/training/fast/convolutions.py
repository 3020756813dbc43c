"""Convolutions with stride 1 in float32, compiled by Numba, for activations in blocks of sixteen images.

An activation is blocks x channels x height x width x 16: the images of a block are innermost, so every loop works on
whole vectors, whatever the number of channels. Sums of products stay in registers. Numbers of channels and sizes of
images are known at run time only: everything is compiled once per machine, and Numba caches it on disk.

3x3 convolutions use Winograd's minimal filtering F(4, 3) along the height, which computes four rows of the output with
half of the multiplications (Lavin & Gray 2016, arXiv:1509.09308). Their weight gradients use its transpose.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mnist_sweep.training.fast.blocks import (
    Floats,
    add_lanes,
    compiled,
    copy_with_frame,
    correlate,
    filter_offsets,
    multiply,
    pack,
    scratch,
)
from mnist_sweep.training.fast.vectors import LANES, full, load, multiply_add, store

_FILTER = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    np.float32,
)
"""From three rows of a filter to the six of its transform."""


@compiled
def direct(x: Floats, weight: Floats, padding: int, groups: int) -> Floats:
    """Return the convolution of `x` with `weight`, as torch.nn.functional.conv2d does."""
    blocks, channels, height, width, _ = x.shape
    outputs, fan, size, _ = weight.shape
    rows, columns = height + 2 * padding, width + 2 * padding
    high, wide, each = rows - size + 1, columns - size + 1, outputs // groups
    y: Floats = scratch(blocks * outputs * high * wide * LANES)
    frame = scratch(channels * rows * columns * LANES if padding else 0)
    flat = x.reshape(x.size)
    offsets, count = filter_offsets(fan, rows, columns, size, size), fan * size * size
    packed = np.empty(outputs * count, np.float32)
    for g in range(groups):
        packed[g * each * count : (g + 1) * each * count] = pack(
            weight[g * each : (g + 1) * each].copy().reshape(each, count)
        )
    for n in range(blocks):
        source, start = (frame, 0) if padding else (flat, n * channels * rows * columns * LANES)
        if padding:
            copy_with_frame(x, n, frame, rows, columns, padding)
        for g in range(groups):
            for h in range(high):
                multiply(
                    y,
                    (((n * outputs + g * each) * high + h) * wide) * LANES,
                    high * wide * LANES,
                    each,
                    wide,
                    source,
                    start + ((g * fan * rows) + h) * columns * LANES,
                    offsets,
                    packed,
                    g * each * count,
                )
    return y.reshape(blocks, outputs, high, wide, LANES)


@compiled
def direct_weight_gradient(x: Floats, dy: Floats, size: int, padding: int, groups: int) -> Floats:
    """Return the gradient of the weight (outputs x channels / groups x size x size) of `direct`."""
    blocks, channels, height, width, _ = x.shape
    _, outputs, high, wide, _ = dy.shape
    rows, columns = height + 2 * padding, width + 2 * padding
    each, fan = outputs // groups, channels // groups
    frame = scratch(channels * rows * columns * LANES if padding else 0)
    flat, y = x.reshape(x.size), dy.reshape(dy.size)
    offsets, count = filter_offsets(fan, rows, columns, size, size), fan * size * size
    sums = scratch(outputs * count * LANES)
    sums[:] = 0
    for n in range(blocks):
        source, start = (frame, 0) if padding else (flat, n * channels * rows * columns * LANES)
        if padding:
            copy_with_frame(x, n, frame, rows, columns, padding)
        for g in range(groups):
            correlate(
                sums,
                g * each * count * LANES,
                each,
                y,
                (n * outputs + g * each) * high * wide * LANES,
                high * wide * LANES,
                wide * LANES,
                source,
                start + g * fan * rows * columns * LANES,
                columns * LANES,
                offsets,
                high,
                wide,
            )
    totals: Floats = add_lanes(sums)
    return totals.reshape(outputs, fan, size, size)


@compiled
def _transform_input(source: Any, start: Any, channels: Any, rows: Any, columns: Any, out: Any, out_step: Any) -> None:
    """Transform six rows of an image (channels x rows x columns) for F(4, 3). `out` is six times `channels` rows."""
    row = columns * LANES
    two, four, five = full(np.float32(2)), full(np.float32(4)), full(np.float32(5))
    for c in range(channels):
        for j in range(columns):
            i, o = start + c * rows * row + j * LANES, c * row + j * LANES
            x0, x1, x2 = load(source, i), load(source, i + row), load(source, i + 2 * row)
            x3, x4, x5 = load(source, i + 3 * row), load(source, i + 4 * row), load(source, i + 5 * row)
            a, b, d, e = x4 - four * x2, x3 - four * x1, x4 - x2, two * (x3 - x1)
            store(out, o, four * x0 - five * x2 + x4)
            store(out, o + out_step, a + b)
            store(out, o + 2 * out_step, a - b)
            store(out, o + 3 * out_step, d + e)
            store(out, o + 4 * out_step, d - e)
            store(out, o + 5 * out_step, four * x1 - five * x3 + x5)


@compiled
def winograd(x: Floats, weight: Floats, padding: int) -> Floats:
    """Return the same as `direct` for 3x3 filters and one group, up to rounding."""
    blocks, channels, height, width, _ = x.shape
    outputs = weight.shape[0]
    high, wide, columns = height + 2 * padding - 2, width + 2 * padding - 2, width + 2 * padding
    tiles = (high + 3) // 4
    rows = 4 * tiles + 2
    framed = padding > 0 or rows != height
    frame = scratch(channels * rows * columns * LANES if framed else 0)
    flat = x.reshape(x.size)
    y: Floats = scratch(blocks * outputs * high * wide * LANES)
    count, step, row = 3 * channels, channels * columns * LANES, wide * LANES
    offsets = filter_offsets(channels, 1, columns, 1, 3)
    transformed, part = np.empty((outputs, count), np.float32), outputs * count
    packed = np.empty(6 * part, np.float32)
    for p in range(6):
        for o in range(outputs):
            for c in range(channels):
                for s in range(3):
                    w = weight[o, c]
                    transformed[o, 3 * c + s] = (
                        _FILTER[p, 0] * w[0, s] + _FILTER[p, 1] * w[1, s] + _FILTER[p, 2] * w[2, s]
                    )
        packed[p * part : (p + 1) * part] = pack(transformed)
    inputs, sums = scratch(6 * step), scratch(6 * 2 * row)
    two, four, eight = full(np.float32(2)), full(np.float32(4)), full(np.float32(8))
    for n in range(blocks):
        source, start = (frame, 0) if framed else (flat, n * channels * rows * columns * LANES)
        if framed:
            copy_with_frame(x, n, frame, rows, columns, padding)
        for tile in range(tiles):
            _transform_input(source, start + 4 * tile * columns * LANES, channels, rows, columns, inputs, step)
            left = high - 4 * tile
            for first in range(0, outputs, 2):
                together = min(2, outputs - first)
                for p in range(6):
                    multiply(
                        sums,
                        2 * p * row,
                        row,
                        together,
                        wide,
                        inputs,
                        p * step,
                        offsets,
                        packed,
                        p * part + first * count,
                    )
                for o in range(together):
                    at = ((n * outputs + first + o) * high + 4 * tile) * row
                    for j in range(0, row, LANES):
                        i = o * row + j
                        s0, s1, s2 = load(sums, i), load(sums, i + 2 * row), load(sums, i + 4 * row)
                        s3, s4, s5 = load(sums, i + 6 * row), load(sums, i + 8 * row), load(sums, i + 10 * row)
                        a, b, c, d = s1 + s2, s1 - s2, s3 + s4, s3 - s4
                        store(y, at + j, s0 + a + c)
                        if left > 1:
                            store(y, at + j + row, multiply_add(two, d, b))
                        if left > 2:
                            store(y, at + j + 2 * row, multiply_add(four, c, a))
                        if left > 3:
                            store(y, at + j + 3 * row, multiply_add(eight, d, b) + s5)
    return y.reshape(blocks, outputs, high, wide, LANES)


@compiled
def winograd_weight_gradient(x: Floats, dy: Floats, padding: int) -> Floats:
    """Return the gradient of the weight (outputs x channels x 3 x 3) of `winograd`."""
    blocks, channels, height, width, _ = x.shape
    _, outputs, high, wide, _ = dy.shape
    columns, tiles = width + 2 * padding, (high + 3) // 4
    rows = 4 * tiles + 2
    framed, y_framed = padding > 0 or rows != height, high != 4 * tiles
    frame = scratch(channels * rows * columns * LANES if framed else 0)
    y_frame = scratch(outputs * 4 * tiles * wide * LANES if y_framed else 0)
    flat, y_flat = x.reshape(x.size), dy.reshape(dy.size)
    count, row = 3 * channels, wide * LANES
    # Sums are loaded and stored once for several tiles if rows are short.
    together = min(tiles, max(1, 24 // wide))
    offsets = filter_offsets(channels, 1, columns, 1, 3)
    x_tile, y_tile = channels * columns * LANES, outputs * row
    inputs, changes = scratch(6 * together * x_tile), scratch(6 * together * y_tile)
    sums = scratch(6 * outputs * count * LANES)
    sums[:] = 0
    two, four, eight = full(np.float32(2)), full(np.float32(4)), full(np.float32(8))
    for n in range(blocks):
        source, start = (frame, 0) if framed else (flat, n * channels * rows * columns * LANES)
        y_source, y_start = (y_frame, 0) if y_framed else (y_flat, n * outputs * high * row)
        if framed:
            copy_with_frame(x, n, frame, rows, columns, padding)
        if y_framed:
            copy_with_frame(dy, n, y_frame, 4 * tiles, wide, 0)
        for first in range(0, tiles, together):
            some = min(together, tiles - first)
            for tile in range(some):
                at = start + 4 * (first + tile) * columns * LANES
                _transform_input(source, at, channels, rows, columns, inputs[tile * x_tile :], together * x_tile)
                for o in range(outputs):
                    at = y_start + (o * 4 * tiles + 4 * (first + tile)) * row
                    to, step = tile * y_tile + o * row, together * y_tile
                    for j in range(0, row, LANES):
                        i, k = at + j, to + j
                        y0, y1 = load(y_source, i), load(y_source, i + row)
                        y2, y3 = load(y_source, i + 2 * row), load(y_source, i + 3 * row)
                        a, b = y0 + y2, y1 + y3
                        c, d = multiply_add(four, y2, y0), multiply_add(eight, y3, two * y1)
                        store(changes, k, y0)
                        store(changes, k + step, a + b)
                        store(changes, k + 2 * step, a - b)
                        store(changes, k + 3 * step, c + d)
                        store(changes, k + 4 * step, c - d)
                        store(changes, k + 5 * step, y3)
            for p in range(6):
                correlate(
                    sums,
                    p * outputs * count * LANES,
                    outputs,
                    changes,
                    p * together * y_tile,
                    row,
                    y_tile,
                    inputs,
                    p * together * x_tile,
                    x_tile,
                    offsets,
                    some,
                    wide,
                )
    totals = add_lanes(sums).reshape(6, outputs, channels, 3)
    gradient = np.empty((outputs, channels, 3, 3), np.float32)
    for o in range(outputs):
        for c in range(channels):
            for r in range(3):
                for s in range(3):
                    total = np.float32(0)
                    for p in range(6):
                        total += _FILTER[p, r] * totals[p, o, c, s]
                    gradient[o, c, r, s] = total
    return gradient
