"""Loops of the training step on a CPU, compiled by Numba: augmentation, batch norm, ReLU, dropout, max-pooling.

Activations are blocks x channels x height x width x 16, as in `convolutions`. The images beyond the batch in the last
block hold arbitrary numbers; `valid` has 1 for each image of the last block that belongs to the batch, else 0.
Arithmetic and sums are float32. The statistics of a channel are combined in float64.

The backward pass must know which elements pass their gradient: those that were neither dropped, nor set to zero by the
ReLU, nor below the maximum in the pooling. This costs no memory: it is stored in the sign bits of an activation without
negative numbers (`gate`). A set bit stops the gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mnist_sweep.training.fast.blocks import Floats, compiled, scratch
from mnist_sweep.training.fast.vectors import (
    LANES,
    bits_below,
    full,
    load,
    magnitude,
    multiply_add,
    random,
    store,
    where,
    with_sign,
)

ZERO, LOWEST = np.float32(0), np.float32(-np.inf)


@compiled
def _maximum(a: Any, b: Any) -> Any:
    """Return the greater of `a` and `b`, or `a` if it is not a number."""
    return where(a < b, b, a)


@compiled
def normalise(
    x: Floats, valid: Floats, relu: bool, eps: float, running_mean: Floats, running_var: Floats, momentum: float
) -> tuple[Floats, Floats]:
    """Return mean and 1 / sqrt(variance + eps) over the batch of each channel of `x`, or of its ReLU.

    Running mean and variance (float32, one per channel) are updated in place, as nn.BatchNorm2d does.
    """
    blocks, channels, height, width, _ = x.shape
    flat, row = x.reshape(x.size), width * LANES
    floor, zero, one = full(ZERO if relu else LOWEST), full(ZERO), full(np.float32(1))
    # Sums of differences from the first image's mean avoid cancellation if the mean is large.
    origins = np.empty(channels, np.float32)
    for c in range(channels):
        first = np.float64(0)
        for i in range(c * height * row, (c + 1) * height * row, LANES):
            first += max(flat[i], ZERO if relu else LOWEST)
        origins[c] = first / (height * width)
    sums, squares = scratch(channels * LANES), scratch(channels * LANES)
    sums[:] = 0
    squares[:] = 0
    for n in range(blocks):
        counted = load(valid, 0) if n == blocks - 1 else one
        for c in range(channels):
            origin, total, square = full(origins[c]), load(sums, c * LANES), load(squares, c * LANES)
            for h in range(height):
                # Rounding errors of equal elements add up, so each row has its own sums.
                at, row_total, row_square = ((n * channels + c) * height + h) * row, zero, zero
                for i in range(at, at + row, LANES):
                    value = (_maximum(load(flat, i), floor) - origin) * counted
                    row_total = row_total + value
                    row_square = multiply_add(value, value, row_square)
                total, square = total + row_total, square + row_square
            store(sums, c * LANES, total)
            store(squares, c * LANES, square)
    mean, inverse = np.empty(channels, np.float32), np.empty(channels, np.float32)
    count = height * width * ((blocks - 1) * LANES + np.float64(valid.sum()))
    for c in range(channels):
        away, spread = np.float64(0), np.float64(0)
        for lane in range(c * LANES, (c + 1) * LANES):
            away += sums[lane] / count
            spread += squares[lane] / count
        average, variance = origins[c] + away, max(spread - away * away, 0.0)
        mean[c], inverse[c] = average, 1 / np.sqrt(variance + eps)
        running_mean[c] += momentum * (average - running_mean[c])
        running_var[c] += momentum * (variance * count / max(count - 1, 1) - running_var[c])
    return mean, inverse


@compiled
def norm_act_forward(
    x: Floats,
    gate: Floats,
    out: Floats,
    mean: Floats,
    inverse: Floats,
    weight: Floats,
    bias: Floats,
    relu_first: bool,
    p: float,
    states: Floats,
    pool: int,
) -> None:
    """Compute out = max_pool(dropout(batch_norm(relu(x)))), or with the ReLU after batch norm.

    Args:
        gate: receives relu(x), or dropout's output if the ReLU is last, and the sign bits that stop gradients. May be
            `x`, or `out` if the ReLU is last and there is no pooling.
        out: height and width are those of `x` divided by `pool`. H and W must be even if `pool` is 2.
        mean, inverse: the results of `normalise`.
        weight, bias: those of batch norm, one per channel.
        p: dropout probability, 0 <= p < 1.
        states: the states of sixteen random generators (2 x 16, bits of uint32), updated in place.
        pool: 1 or 2: the side of a max-pooling window.
    """
    blocks, channels, height, width, _ = x.shape
    source, gates, target, random_states = (
        x.reshape(x.size),
        gate.reshape(x.size),
        out.reshape(out.size),
        states.reshape(states.size),
    )
    zero = full(ZERO)
    floor, last_floor = full(ZERO if relu_first else LOWEST), full(LOWEST if relu_first else ZERO)
    chance, factor = np.uint32(p * 2**32), np.float32(1 / (1 - p))
    first, second = load(random_states, 0), load(random_states, LANES)
    row, at, to = width * LANES, 0, 0
    for _n in range(blocks):
        for c in range(channels):
            scale = weight[c] * inverse[c] * factor
            a, b = full(scale), full(np.float32(bias[c] * factor - mean[c] * scale))
            for i in range(0, height * row, LANES) if pool == 1 else range(0):
                given = _maximum(load(source, at + i), floor)
                value, stop = _maximum(multiply_add(a, given, b), last_floor), zero
                if chance:
                    number, first, second = random(first, second)
                    stop = bits_below(number, chance)
                    value = where(stop, zero, value)
                store(target, to + i, value)
                if relu_first:
                    store(gates, at + i, with_sign(given, stop))
                else:
                    store(gates, at + i, with_sign(value, zero >= value))
            for h in range(0, height, 2) if pool == 2 else range(0):
                for j in range(0, row, 2 * LANES):
                    i = at + h * row + j
                    given0, given1 = load(source, i), load(source, i + LANES)
                    given2, given3 = load(source, i + row), load(source, i + row + LANES)
                    given0, given1 = _maximum(given0, floor), _maximum(given1, floor)
                    given2, given3 = _maximum(given2, floor), _maximum(given3, floor)
                    value0, value1 = multiply_add(a, given0, b), multiply_add(a, given1, b)
                    value2, value3 = multiply_add(a, given2, b), multiply_add(a, given3, b)
                    value0, value1 = _maximum(value0, last_floor), _maximum(value1, last_floor)
                    value2, value3 = _maximum(value2, last_floor), _maximum(value3, last_floor)
                    stop0, stop1, stop2, stop3 = zero, zero, zero, zero
                    if chance:
                        number, first, second = random(first, second)
                        stop0 = bits_below(number, chance)
                        number, first, second = random(first, second)
                        stop1 = bits_below(number, chance)
                        number, first, second = random(first, second)
                        stop2 = bits_below(number, chance)
                        number, first, second = random(first, second)
                        stop3 = bits_below(number, chance)
                        value0, value1 = where(stop0, zero, value0), where(stop1, zero, value1)
                        value2, value3 = where(stop2, zero, value2), where(stop3, zero, value3)
                    left, right = where(value0 < value2, value2, value0), where(value1 < value3, value3, value1)
                    store(target, to + h // 2 * (row // 2) + j // 2, where(left < right, right, left))
                    stop0, stop2 = (
                        stop0 | (value0 < value2) | (left < right),
                        stop2 | (value0 >= value2) | (left < right),
                    )
                    stop1, stop3 = (
                        stop1 | (value1 < value3) | (left >= right),
                        stop3 | (value1 >= value3) | (left >= right),
                    )
                    if not relu_first:
                        given0, given1, given2, given3 = value0, value1, value2, value3
                        stop0, stop1 = stop0 | (zero >= value0), stop1 | (zero >= value1)
                        stop2, stop3 = stop2 | (zero >= value2), stop3 | (zero >= value3)
                    store(gates, i, with_sign(given0, stop0))
                    store(gates, i + LANES, with_sign(given1, stop1))
                    store(gates, i + row, with_sign(given2, stop2))
                    store(gates, i + row + LANES, with_sign(given3, stop3))
            at += height * row
            to += (height // pool) * (row // pool)
    store(random_states, 0, first)
    store(random_states, LANES, second)


@compiled
def norm_act_backward(
    dy: Floats,
    x: Floats,
    gate: Floats,
    dx: Floats,
    valid: Floats,
    mean: Floats,
    inverse: Floats,
    weight: Floats,
    batch_statistics: bool,
    relu_first: bool,
    p: float,
    pool: int,
) -> tuple[Floats, Floats]:
    """Compute the gradients of `normalise` and `norm_act_forward` (batch norm: Ioffe & Szegedy 2015, section 3).

    Args:
        dy: the gradient of `out`, 0 for images beyond the batch.
        x, gate, mean, inverse, weight, p, pool: as `norm_act_forward` received or left them.
        dx: receives the gradient of x, 0 for images beyond the batch. May be `x`.
        batch_statistics: false if mean and inverse are constants.

    Returns:
        The gradients of weight and bias.
    """
    blocks, channels, height, width, _ = x.shape
    arriving, source, gates, target = dy.reshape(dy.size), x.reshape(x.size), gate.reshape(x.size), dx.reshape(x.size)
    row, zero = width * LANES, full(ZERO)
    short = row // pool
    sums, products = scratch(channels * LANES), scratch(channels * LANES)
    sums[:] = 0
    products[:] = 0
    for n in range(blocks):
        for c in range(channels):
            total, product, center = load(sums, c * LANES), load(products, c * LANES), full(mean[c])
            for h in range(height):
                at, y_at = (
                    ((n * channels + c) * height + h) * row,
                    ((n * channels + c) * (height // pool) + h // pool) * short,
                )
                row_total, row_product = zero, zero
                for j in range(0, row, LANES):
                    y = y_at + j if pool == 1 else y_at + ((j >> 1) & -LANES)
                    value = load(source, at + j)
                    value = magnitude(value) if relu_first else value
                    gradient = where(load(gates, at + j), zero, load(arriving, y))
                    row_total = row_total + gradient
                    row_product = multiply_add(gradient, value - center, row_product)
                total, product = total + row_total, product + row_product
            store(sums, c * LANES, total)
            store(products, c * LANES, product)
    factor = np.float32(1 / (1 - p))
    count = height * width * ((blocks - 1) * LANES + np.float64(valid.sum()))
    d_weight, d_bias = np.empty(channels, np.float32), np.empty(channels, np.float32)
    ks, slopes, starts = (
        np.empty(channels, np.float32),
        np.empty(channels, np.float32),
        np.empty(channels, np.float32),
    )
    for c in range(channels):
        dot, whole = np.float64(0), np.float64(0)
        for lane in range(c * LANES, (c + 1) * LANES):
            dot += products[lane]
            whole += sums[lane]
        dot *= inverse[c]
        ks[c] = weight[c] * inverse[c] * factor
        share = 1 / count if batch_statistics else 0.0
        slopes[c] = -ks[c] * inverse[c] * dot * share
        starts[c] = -ks[c] * whole * share - slopes[c] * mean[c]
        d_weight[c], d_bias[c] = dot * factor, whole * factor
    one, lowest = full(np.float32(1)), full(ZERO if relu_first else LOWEST)
    for n in range(blocks):
        counted = load(valid, 0) if n == blocks - 1 else one
        for c in range(channels):
            k, slope, offset = full(ks[c]), full(slopes[c]) * counted, full(starts[c]) * counted
            for h in range(height):
                at, y_at = (
                    ((n * channels + c) * height + h) * row,
                    ((n * channels + c) * (height // pool) + h // pool) * short,
                )
                for j in range(0, row, LANES):
                    y = y_at + j if pool == 1 else y_at + ((j >> 1) & -LANES)
                    value = load(source, at + j)
                    value = magnitude(value) if relu_first else value
                    gradient = where(load(gates, at + j), zero, load(arriving, y))
                    result = multiply_add(k, gradient, multiply_add(slope, value, offset))
                    store(target, at + j, where(lowest < value, result, zero))
    return d_weight, d_bias


@compiled
def average_pool(x: Floats, size: int) -> Floats:
    """Return the means of size x size windows. Rows and columns that do not fill a window are left out."""
    blocks, channels, height, width, _ = x.shape
    high, wide = height // size, width // size
    flat = x.reshape(x.size)
    y: Floats = scratch(blocks * channels * high * wide * LANES)
    share, at = full(np.float32(1 / (size * size))), 0
    for plane in range(blocks * channels):
        for h in range(high):
            for w in range(wide):
                total = full(ZERO)
                for r in range(size):
                    for s in range(size):
                        place = (plane * height + h * size + r) * width + w * size + s
                        total = total + load(flat, place * LANES)
                store(y, at, total * share)
                at += LANES
    return y.reshape(blocks, channels, high, wide, LANES)


@compiled
def average_pool_backward(dy: Floats, size: int, height: int, width: int) -> Floats:
    """Return the gradient of the input (height x width) of `average_pool`."""
    blocks, channels, high, wide, _ = dy.shape
    flat = dy.reshape(dy.size)
    dx: Floats = scratch(blocks * channels * height * width * LANES)
    share, zero, at = full(np.float32(1 / (size * size))), full(ZERO), 0
    for plane in range(blocks * channels):
        for h in range(height):
            for w in range(width):
                if h < high * size and w < wide * size:
                    place = (plane * high + h // size) * wide + w // size
                    store(dx, at, load(flat, place * LANES) * share)
                else:
                    store(dx, at, zero)
                at += LANES
    return dx.reshape(blocks, channels, height, width, LANES)


@compiled
def augment(images: npt.NDArray[np.uint8], parameters: Floats, mean: float, std: float, out: Floats) -> None:
    """Apply policy A to each image: turn; shear, scale, rotate, shift; brightness, contrast; normalise. Bilinear.

    Args:
        images: N x S x S.
        parameters: 8 x N: turn, rotation and shear in radians; shifts in x and y in units of half the side; scale,
            brightness and contrast as differences from 1.
        mean, std: mean and standard deviation of the pixels (0 … 1) for the normalisation.
        out: N x S^2.
    """
    side, size = images.shape[1], out.shape[1]
    # Outside the image there are zeros; coordinates are clamped to this border.
    wide = side + 3
    padded = np.zeros((wide, wide), np.float32)
    flat = padded.reshape(wide * wide)
    low, high, one = np.float32(-1), np.float32(side), np.float32(1)
    row, column = np.empty(size, np.float32), np.empty(size, np.float32)
    for k in range(size):
        row[k], column[k] = k // side, k % side
    corner, across, down = np.empty(size, np.uint32), np.empty(size, np.float32), np.empty(size, np.float32)
    pixels, sums = np.empty(size, np.float32), np.empty(side, np.float32)
    for n in range(images.shape[0]):
        for i in range(side):
            for j in range(side):
                padded[i + 1, j + 1] = np.float32(images[n, i, j]) * np.float32(1 / 255)
        turn, angle, tangent = parameters[0, n], parameters[1, n], np.tan(parameters[2, n])
        shift_x, shift_y, shrink = parameters[3, n], parameters[4, n], one / (one + parameters[5, n])
        # From output to input coordinates: rotation(-turn) shear(-shear) rotation(-angle) / scale.
        p, r = np.cos(turn), -np.sin(turn)
        q, s = p * tangent - r, r * tangent + p
        cosine, sine = np.cos(angle), np.sin(angle)
        xx, xy = np.float32((p * cosine - q * sine) * shrink), np.float32((p * sine + q * cosine) * shrink)
        yx, yy = np.float32((r * cosine - s * sine) * shrink), np.float32((r * sine + s * cosine) * shrink)
        x_first = np.float32((side - 1 - (side - 1 + side * shift_x) * xx - (side - 1 + side * shift_y) * xy) / 2)
        y_first = np.float32((side - 1 - (side - 1 + side * shift_x) * yx - (side - 1 + side * shift_y) * yy) / 2)
        for k in range(size):
            x = min(max(x_first + xx * column[k] + xy * row[k], low), high) + one
            y = min(max(y_first + yx * column[k] + yy * row[k], low), high) + one
            left, top = np.int32(x), np.int32(y)
            across[k], down[k] = x - np.float32(left), y - np.float32(top)
            corner[k] = np.uint32(np.int32(np.int32(top * np.int32(wide)) + left))
        for k in range(size):
            at = corner[k]
            below = np.uint32(at + np.uint32(wide))
            upper = flat[at] + across[k] * (flat[np.uint32(at + np.uint32(1))] - flat[at])
            lower = flat[below] + across[k] * (flat[np.uint32(below + np.uint32(1))] - flat[below])
            pixels[k] = upper + down[k] * (lower - upper)
        sums[:] = 0
        rows = pixels.reshape(side, side)
        for i in range(side):
            for j in range(side):
                sums[j] += rows[i, j]
        average = sums.sum() / np.float32(size)
        # Brightness and contrast commute except for clipping, so one order covers both orders of the study's jitter.
        gain, blend = one + parameters[6, n], one + parameters[7, n]
        slope, offset = np.float32(gain * blend), np.float32(gain * average * (one - blend))
        for k in range(size):
            value = slope * pixels[k] + offset
            value = ZERO if value < ZERO else value
            value = one if value > one else value
            out[n, k] = (value - np.float32(mean)) * np.float32(1 / std)
