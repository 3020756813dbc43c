"""CPU kernels compiled by Numba, for all but convolutions: augmentation, batch norm, ReLU, dropout, pooling.

An activation is a matrix of bits: uint16 for bfloat16, uint32 for float32. It has one row per image row (N H rows) and
the channels vary fastest (W C columns), so a loop over a row fills vector registers for any number of channels.
Arithmetic and sums are float32. The statistics of a channel are combined in float64.

The backward pass must know which elements pass their gradient: those that were neither dropped, nor set to zero by the
ReLU, nor below the maximum in the pooling. This costs no memory: it is stored in the sign bits of a tensor without
negative numbers (`gate`). A set bit stops the gradient.

Numba caches the compiled code on disk. The first use on a machine takes some seconds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numba import njit
from numba.extending import overload

Bits = npt.NDArray[np.unsignedinteger[Any]]
Floats = npt.NDArray[np.float32]

STOP = np.uint32(0x80000000)
ZERO, LOWEST = np.float32(0), np.float32(-np.inf)


def bits(x: torch.Tensor) -> Bits:
    """Return the bits of a contiguous float32 or bfloat16 tensor. They share its memory."""
    shared: Bits = x.view(torch.uint16 if x.itemsize == 2 else torch.uint32).numpy()
    return shared


def _compiled(function: Any, **options: Any) -> Any:
    options |= {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    try:
        return njit(function, cache=True, **options)
    except RuntimeError:  # no folder for the cache is writable
        return njit(function, **options)


@_compiled
def _load(bits: Any, shift: Any) -> Any:
    """Convert the bits of a bfloat16 (`shift` 16) or a float32 (`shift` 0) to float32."""
    return np.uint32(np.uint32(bits) << shift).view(np.float32)


@_compiled
def _raw(value: Any) -> Any:
    return np.float32(value).view(np.uint32)


@_compiled
def _bits(value: Any, shift: Any) -> Any:
    """Convert a float32 to the bits of the nearest bfloat16 (`shift` 16; ties to even) or its own (`shift` 0)."""
    bits = _raw(value)
    half = np.uint32(0x7FFF) if shift else np.uint32(0)
    odd = np.uint32(1) if shift else np.uint32(0)
    tie = np.uint32(np.uint32(bits >> shift) & odd)
    return np.uint32(np.uint32(np.uint32(bits + half) + tie) >> shift)


@_compiled
def _gated(gate: Any, gradient: Any, shift: Any) -> Any:
    """Return `gradient`, or 0 if the sign bit of `gate` is set."""
    return ZERO if np.uint32(np.uint32(gate) << shift) >= STOP else gradient


@_compiled
def _given(x: Any, relu_first: Any, shift: Any) -> Any:
    """Return the normalised value: `x`, whose sign bit is a gate and not a sign if the ReLU came first."""
    value = _load(x, shift)
    return abs(value) if relu_first else value


def _shift(x: Any) -> Any:
    """Return by how many bits an element of `x` is shifted left to become a float32."""
    raise NotImplementedError  # only compiled code calls this


@overload(_shift)
def _shift_of(x: Any) -> Any:
    shift = np.uint32(32 - x.dtype.bitwidth)

    def constant(x: Any) -> Any:
        return shift

    return constant


@_compiled
def normalise(
    x: Bits, relu: bool, eps: float, running_mean: Floats, running_var: Floats, momentum: float
) -> tuple[Floats, Floats]:
    """Return mean and 1 / sqrt(variance + eps) over N H W of each channel of `x` (N H x W C), or of its ReLU.

    Running mean and variance (float32, one per channel) are updated in place, as nn.BatchNorm2d does.
    """
    (rows, columns), channels, shift = x.shape, running_mean.shape[0], _shift(x)
    floor = ZERO if relu else LOWEST
    # Sums of differences from the first row avoid cancellation if the mean is large.
    origin, sums, squares = np.empty(columns, np.float32), np.zeros(columns, np.float32), np.zeros(columns, np.float32)
    for j in range(columns):
        origin[j] = max(_load(x[0, j], shift), floor)
    for i in range(rows):
        for j in range(columns):
            value = _load(x[i, j], shift)
            value = floor if value < floor else value
            value -= origin[j]
            sums[j] += value
            squares[j] += value * value
    means, variances = np.zeros(channels, np.float64), np.zeros(channels, np.float64)
    places = columns // channels
    for j in range(columns):
        means[j % channels] += (origin[j] + np.float64(sums[j]) / rows) / places
    for j in range(columns):
        away = origin[j] - means[j % channels]
        variances[j % channels] += ((squares[j] + 2 * away * sums[j]) / rows + away * away) / places
    mean, inverse = np.empty(channels, np.float32), np.empty(channels, np.float32)
    count = rows * places
    for c in range(channels):
        variance = max(variances[c], 0.0)
        mean[c], inverse[c] = means[c], 1 / np.sqrt(variance + eps)
        running_mean[c] += momentum * (means[c] - running_mean[c])
        running_var[c] += momentum * (variance * count / max(count - 1, 1) - running_var[c])
    return mean, inverse


@_compiled
def _draw(states: Any, chance: Any, row: Any, stop: Any) -> None:
    """Set stop[row, j] to STOP with probability chance / 2^32, else to 0. Each column has a xoroshiro64* generator.

    Blackman & Vigna 2021, Scrambled linear pseudorandom number generators.
    """
    for j in range(stop.shape[1]):
        a, b = states[0, j], states[1, j]
        number = np.uint32(a * np.uint32(0x9E3779BB))
        b = np.uint32(b ^ a)
        turned = np.uint32(np.uint32(a << np.uint32(26)) | np.uint32(a >> np.uint32(6)))
        states[0, j] = np.uint32(turned ^ b ^ np.uint32(b << np.uint32(9)))
        states[1, j] = np.uint32(np.uint32(b << np.uint32(13)) | np.uint32(b >> np.uint32(19)))
        stop[row, j] = STOP if number < chance else np.uint32(0)


@_compiled
def norm_act_forward(
    x: Bits,
    gate: Bits,
    out: Bits,
    mean: Floats,
    inverse: Floats,
    weight: Floats,
    bias: Floats,
    relu_first: bool,
    p: float,
    states: Any,
    pool: int,
) -> None:
    """Compute out = max_pool(dropout(batch_norm(relu(x)))), or with the ReLU after batch norm.

    Args:
        x: N H x W C.
        gate: receives relu(x), or dropout's output if the ReLU is last, and the sign bits that stop gradients. May be
            `x`, or `out` if the ReLU is last and there is no pooling.
        out: N H/pool x W/pool C. H and W must be even if `pool` is 2.
        mean, inverse: the results of `normalise`.
        weight, bias: those of batch norm, one per channel.
        p: dropout probability, 0 <= p < 1.
        states: uint32, 2 x W C: the state of one random generator per column, updated in place.
        pool: 1 or 2: the side of a max-pooling window.
    """
    (rows, columns), channels, shift = x.shape, mean.shape[0], _shift(x)
    floor, last_floor = (ZERO, LOWEST) if relu_first else (LOWEST, ZERO)
    chance, factor = np.uint32(p * 2**32), np.float32(1 / (1 - p))
    scale = weight * inverse * factor
    a, b = _tile(scale, columns), _tile(bias * factor - mean * scale, columns)
    # Scratch rows: a loop that may read and write the same tensor is not vectorised.
    given, value = np.empty((pool, columns), np.float32), np.empty((pool, columns), np.float32)
    stop = np.zeros((pool, columns), np.uint32)
    best, lost = (
        np.empty((columns // channels, channels), np.float32),
        np.empty((columns // channels, channels), np.uint32),
    )
    best_row, lost_row = best.reshape(columns), lost.reshape(columns)
    pooled = np.empty((columns // channels // 2, channels), np.float32)
    pooled_row = pooled.reshape(pooled.size)
    for top in range(0, rows, pool):
        for k in range(pool):
            if chance:
                _draw(states, chance, k, stop)
            else:
                stop[k] = 0
            for j in range(columns):
                v = _load(x[top + k, j], shift)
                given[k, j] = floor if v < floor else v
            for j in range(columns):
                v = a[j] * given[k, j] + b[j]
                v = last_floor if v < last_floor else v
                value[k, j] = ZERO if stop[k, j] else v
            if not relu_first:
                for j in range(columns):
                    stop[k, j] = STOP if value[k, j] == 0 else np.uint32(0)
        if pool == 1:
            for j in range(columns):
                out[top, j] = _bits(value[0, j], shift)
        else:
            for j in range(columns):
                first = value[0, j] >= value[1, j]
                best_row[j] = value[0, j] if first else value[1, j]
                stop[0, j] |= np.uint32(0) if first else STOP
                stop[1, j] |= STOP if first else np.uint32(0)
            for place in range(pooled.shape[0]):
                for c in range(channels):
                    first = best[2 * place, c] >= best[2 * place + 1, c]
                    pooled[place, c] = best[2 * place, c] if first else best[2 * place + 1, c]
                    lost[2 * place, c] = np.uint32(0) if first else STOP
                    lost[2 * place + 1, c] = STOP if first else np.uint32(0)
            for j in range(columns):
                stop[0, j] |= lost_row[j]
                stop[1, j] |= lost_row[j]
            for j in range(pooled_row.shape[0]):
                out[top // 2, j] = _bits(pooled_row[j], shift)
        kept = given if relu_first else value
        for k in range(pool):
            for j in range(columns):
                gate[top + k, j] = np.uint32(_bits(kept[k, j], shift) | np.uint32(stop[k, j] >> shift))


def _arriving(dy: Bits, row: int, pool: int, shift: Any, gradient: Any, places: Any) -> None:
    """Set `gradient` to what reaches row `row` before pooling, gates not applied. `places` is its view as W x C."""
    if pool == 1:
        for j in range(gradient.shape[0]):
            gradient[j] = _load(dy[row, j], shift)
    elif row % 2 == 0:
        pooled = dy[row // 2].reshape(places.shape[0] // 2, places.shape[1])
        for place in range(pooled.shape[0]):
            for c in range(pooled.shape[1]):
                places[2 * place, c] = _load(pooled[place, c], shift)
            for c in range(pooled.shape[1]):
                places[2 * place + 1, c] = places[2 * place, c]


_arriving = _compiled(_arriving, inline="always")


@_compiled
def norm_act_backward(
    dy: Bits,
    x: Bits,
    gate: Bits,
    dx: Bits,
    mean: Floats,
    inverse: Floats,
    weight: Floats,
    relu_first: bool,
    p: float,
    pool: int,
) -> tuple[Floats, Floats]:
    """Compute the gradients of `normalise` and `norm_act_forward` (batch norm: Ioffe & Szegedy 2015, section 3).

    Args:
        dy: N H/pool x W/pool C: the gradient of `out`.
        x, gate, mean, inverse, weight, p, pool: as `norm_act_forward` received or left them.
        dx: receives the gradient of x. May be `x`.

    Returns:
        The gradients of weight and bias.
    """
    (rows, columns), channels, shift = x.shape, mean.shape[0], _shift(x)
    center, gradient, result = _tile(mean, columns), np.empty(columns, np.float32), np.empty(columns, np.float32)
    places = gradient.reshape(columns // channels, channels)
    products, sums = np.zeros(columns, np.float32), np.zeros(columns, np.float32)
    for i in range(rows):
        _arriving(dy, i, pool, shift, gradient, places)
        for j in range(columns):
            g, v = _gated(gate[i, j], gradient[j], shift), _given(x[i, j], relu_first, shift)
            products[j] += g * (v - center[j])
            sums[j] += g
    dots, totals = np.zeros(channels, np.float64), np.zeros(channels, np.float64)
    for j in range(columns):
        dots[j % channels] += products[j] * np.float64(inverse[j % channels])
        totals[j % channels] += sums[j]
    factor, count = np.float32(1 / (1 - p)), rows * (columns // channels)
    k, slope, offset = np.empty(columns, np.float32), np.empty(columns, np.float32), np.empty(columns, np.float32)
    for j in range(columns):
        c = j % channels
        k[j] = weight[c] * inverse[c] * factor
        slope[j] = -k[j] * inverse[c] * dots[c] / count
        offset[j] = -k[j] * totals[c] / count - slope[j] * mean[c]
    floor = ZERO if relu_first else LOWEST
    for i in range(rows):
        _arriving(dy, i, pool, shift, gradient, places)
        for j in range(columns):
            g, v = _gated(gate[i, j], gradient[j], shift), _given(x[i, j], relu_first, shift)
            g = k[j] * g + slope[j] * v + offset[j]
            result[j] = g if v > floor else ZERO
        for j in range(columns):
            dx[i, j] = _bits(result[j], shift)
    return (dots * factor).astype(np.float32), (totals * factor).astype(np.float32)


@_compiled
def _tile(vector: Any, count: Any) -> Any:
    """Repeat one value per channel to one value per column."""
    tiled = np.empty(count, np.float32)
    for j in range(count):
        tiled[j] = vector[j % vector.shape[0]]
    return tiled


@_compiled
def augment(images: npt.NDArray[np.uint8], parameters: Floats, mean: float, std: float, out: Bits) -> None:
    """Apply policy A to each image: turn; shear, scale, rotate, shift; brightness, contrast; normalise. Bilinear.

    Args:
        images: N x S x S.
        parameters: 8 x N: turn, rotation and shear in radians; shifts in x and y in units of half the side; scale,
            brightness and contrast as differences from 1.
        mean, std: mean and standard deviation of the pixels (0 … 1) for the normalisation.
        out: N x S^2.
    """
    side, size, shift = images.shape[1], out.shape[1], _shift(out)
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
            out[n, k] = _bits((value - np.float32(mean)) * np.float32(1 / std), shift)
