"""The same networks, quicker on a CPU: `fused` gives a network's twin that trains the same parameters in less time.

PyTorch's own layers spend most of a small network's step outside its convolutions: on the random numbers of dropout,
drawn one by one, and on passes over activations with few channels, which its vector loops handle badly. The twin

- keeps activations in channels-last order, which oneDNN's convolutions want, and works on rows of width x channels in
  everything else, so that eight channels fill a vector register as well as eighty do;
- draws which elements are dropped (few) instead of a number for each (many);
- runs ReLU, batch norm and dropout as one function that keeps one tensor for its backward pass instead of three.

Every layer computes what its torch.nn counterpart does, up to rounding and up to which random numbers it draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

aten = torch.ops.aten


def fused(network: nn.Sequential) -> nn.Sequential:
    """A module that shares `network`'s parameters and buffers and computes the same; it takes float32 or bfloat16.

    Its activations have the dtype of its input; parameters stay what they are (float32).
    """
    modules: list[nn.Module] = []
    waiting = list(network)
    while waiting:
        match waiting:
            case [nn.ReLU(), nn.BatchNorm2d() as norm, *waiting]:
                modules.append(NormAct(norm, relu_first=True))
            case [nn.BatchNorm2d() as norm, nn.ReLU(), *waiting]:
                modules.append(NormAct(norm, relu_first=False))
            case [nn.Dropout(p=p), *waiting] if modules and isinstance(modules[-1], NormAct):
                modules[-1].p = p
            case [nn.Dropout(p=p), *waiting]:
                modules.append(Dropout(p))
            case [nn.Conv2d() as convolution, *waiting]:
                modules.append(Conv(convolution))
            case [other, *waiting]:
                modules.append(other)
    return nn.Sequential(*modules)


class Conv(nn.Module):
    """A `nn.Conv2d` whose float32 parameters are rounded to the input's dtype; channels-last in and out."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        convolution = self.convolution
        if x.shape[1] == 1:
            # With one channel both memory formats are the same bytes; only these strides say channels-last.
            x = x.contiguous().as_strided(x.shape, (x[0].numel(), 1, x.shape[3], 1))
        bias = None if convolution.bias is None else convolution.bias.to(x.dtype)
        return F.conv2d(x, convolution.weight.to(x.dtype), bias, padding=convolution.padding)


class NormAct(nn.Module):
    """ReLU and batch norm in either order, then dropout with probability `p`, as one function."""

    def __init__(self, norm: nn.BatchNorm2d, *, relu_first: bool, p: float = 0.0) -> None:
        super().__init__()
        self.norm, self.relu_first, self.p = norm, relu_first, p

    def forward(self, x: Tensor) -> Tensor:
        norm = self.norm
        if self.training:
            y: Tensor = _NormAct.apply(x, norm.weight, norm.bias, norm, self.relu_first, self.p)
            return y
        return norm(F.relu(x)) if self.relu_first else F.relu(norm(x))


class Dropout(nn.Module):
    """`nn.Dropout` by positions."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        keep = torch.full_like(x, 1 / (1 - self.p))
        _flat(keep).index_fill_(0, dropped(x.numel(), self.p), 0)
        return x * keep


def dropped(count: int, p: float) -> Tensor:
    """Which of `count` elements a Bernoulli dropout drops: int64, ascending; each with probability `p`, independently.

    The gaps between drops are geometric, so drawing those takes p * count numbers instead of count. They come from
    NumPy's SFC64 (a fifth of the time of PyTorch's serial generator), seeded by a draw from PyTorch's global one: the
    result follows `torch.manual_seed` and a restored generator state as `nn.Dropout` does.
    """
    random = np.random.Generator(np.random.SFC64(int(torch.randint(2**62, ()))))
    draws = int(count * p + 6 * math.sqrt(count * p) + 16)
    last, parts = -1, []
    while last < count:
        # The floor of an exponential is geometric (Devroye 1986, Non-Uniform Random Variate Generation, X.2).
        gaps = torch.from_numpy(random.standard_exponential(draws)).mul_(-1 / math.log1p(-p)).long().add_(1)
        parts.append(gaps.cumsum_(0).add_(last))
        last = int(parts[-1][-1])
    positions = torch.cat(parts) if len(parts) > 1 else parts[0]
    return positions[: int(torch.searchsorted(positions, count))]


class _NormAct(torch.autograd.Function):
    """y = dropout(batch_norm(relu(x))) or dropout(relu(batch_norm(x))), training mode.

    Dropout's factor 1 / (1 - p) goes into batch norm's affine map (it commutes with ReLU). The backward pass is that of
    Ioffe & Szegedy 2015 (section 3), rearranged to dx = k * dy + (affine map of the normalised input).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d, relu_first: bool, p: float
    ) -> Tensor:
        (n, c, h, w), scale = x.shape, 1 / (1 - p)
        rows = _rows(x).relu() if relu_first else _rows(x)
        # One mean and variance for each place in a row; those of a channel's w places combine exactly.
        zeros = torch.zeros(w * c, dtype=weight.dtype)
        means, variances = torch.batch_norm_update_stats(rows, zeros, zeros, 0.0)
        between, mean = torch.var_mean(means.view(w, c), 0, correction=0)
        variance = between + variances.view(w, c).mean(0)
        _track(norm, mean, variance, n * h * w)

        tiled = _tile(torch.stack((weight * scale, bias * scale, mean, variance)), w)
        y = _affine(rows, tiled, norm.eps)
        if not relu_first:
            y.relu_()
        drops = dropped(y.numel(), p) if p else None
        if drops is not None:
            y.view(-1).index_fill_(0, drops, 0)
        # With ReLU last, y is 0 wherever the gradient stops, dropped elements included.
        ctx.save_for_backward(rows, weight, tiled[2], tiled[3], *((drops,) if relu_first else (y,)))
        ctx.relu_first, ctx.scale, ctx.eps, ctx.shape = relu_first, scale, norm.eps, x.shape
        return _image(y, x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, mean, variance, stops = ctx.saved_tensors
        n, c, h, w = ctx.shape
        dy = _rows(grad)
        if not ctx.relu_first:
            dy = aten.threshold_backward(dy, stops, 0)
        elif stops is not None:
            # In place: in a Sequential nobody else holds this gradient.
            dy.view(-1).index_fill_(0, stops, 0)
        # sums over each place's column of dy * normalised input, and of dy
        _, dots, sums = aten.native_batch_norm_backward(
            dy, rows, variance, mean, variance, None, None, False, ctx.eps, [False, True, True]
        )
        totals = torch.stack((dots, sums)).view(2, w, c).sum(1)
        # Rounded once, here, so that the two halves of dx cancel as they should.
        k = (weight * ctx.scale * (variance[:c] + ctx.eps).rsqrt()).to(dy.dtype).to(weight.dtype)
        slope, offset, k = _tile(torch.cat((totals * (-k / (n * h * w)), k.unsqueeze(0))), w)
        dx = _affine(rows, (slope, offset, mean, variance), ctx.eps).addcmul_(dy, k.to(dy.dtype))
        if ctx.relu_first:
            dx = aten.threshold_backward(dx, rows, 0)
        return _image(dx, ctx.shape), totals[0] * ctx.scale, totals[1] * ctx.scale, None, None, None


def _track(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int) -> None:
    """Running statistics, as nn.BatchNorm2d keeps them."""
    running_mean, running_var, batches = norm.running_mean, norm.running_var, norm.num_batches_tracked
    assert running_mean is not None
    assert running_var is not None
    assert batches is not None
    assert norm.momentum is not None
    running_mean.lerp_(mean, norm.momentum)
    running_var.lerp_(variance * (count / max(count - 1, 1)), norm.momentum)
    batches.add_(1)


def _affine(rows: Tensor, columns: Sequence[Tensor], eps: float) -> Tensor:
    """(rows - mean) / sqrt(variance + eps) * weight + bias; `columns` are weight, bias, mean, variance, float32."""
    y: Tensor = aten.native_batch_norm(rows, *columns, False, 0.0, eps)[0]
    return y


def _rows(x: Tensor) -> Tensor:
    """N x C x H x W -> (N H) x (W C); a view if `x` is channels-last, else a copy."""
    n, c, h, w = x.shape
    return x.permute(0, 2, 3, 1).reshape(n * h, w * c)


def _image(rows: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of `_rows`."""
    n, c, h, w = shape
    return rows.view(n, h, w, c).permute(0, 3, 1, 2)


def _flat(x: Tensor) -> Tensor:
    """`x`'s elements in memory order, as a view."""
    return x.as_strided((x.numel(),), (1,))


def _tile(vectors: Tensor, times: int) -> tuple[Tensor, ...]:
    """K x C -> K vectors, each `times` copies of one row."""
    count, channels = vectors.shape
    return vectors.unsqueeze(1).expand(count, times, channels).reshape(count, -1).unbind(0)
