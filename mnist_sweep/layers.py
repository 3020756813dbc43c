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
from typing import Any, Self

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
                modules[-1].drops = Drops(p)
            case [nn.Dropout(p=p), *waiting]:
                modules.append(Dropout(p))
            case [nn.Conv2d() as convolution, *waiting]:
                modules.append(Conv(convolution))
            case [other, *waiting]:
                modules.append(other)
    return nn.Sequential(*modules).train(network.training)


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
        self.norm, self.relu_first, self.drops = norm, relu_first, Drops(p)

    def forward(self, x: Tensor) -> Tensor:
        norm = self.norm
        if self.training:
            y: Tensor = _NormAct.apply(x, norm.weight, norm.bias, norm, self.relu_first, self.drops)
            return y
        return norm(F.relu(x)) if self.relu_first else F.relu(norm(x))


class Dropout(nn.Module):
    """`nn.Dropout` by positions."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.drops = Drops(p)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.drops.p == 0:
            return x
        keep = torch.full_like(x, self.drops.scale)
        _flat(keep).index_fill_(0, self.drops.draw(x.numel()), 0)
        return x * keep


class Drops(nn.Module):
    """Draws which elements a Bernoulli dropout with probability `p` drops.

    The gaps between drops are geometric, so drawing those takes p * count numbers instead of count. They come from
    NumPy's SFC64 (a fifth of the time of PyTorch's serial generator), which draws its seed from PyTorch's global
    generator when the module is put in training mode: what is dropped follows `torch.manual_seed`.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p, self.scale = p, 1 / (1 - p)
        self.random: np.random.Generator

    def train(self, mode: bool = True) -> Self:
        if mode:
            self.random = np.random.Generator(np.random.SFC64(int(torch.randint(2**62, ()))))
        return super().train(mode)

    def draw(self, count: int) -> Tensor:
        """Ascending positions in 0 … count - 1, int64: each is there with probability p, independently."""
        expected = count * self.p
        draws = int(expected + 6 * math.sqrt(expected) + 16)
        last, parts = -1, []
        while last < count:
            # The floor of an exponential is geometric (Devroye 1986, Non-Uniform Random Variate Generation, X.2).
            gaps = self.random.standard_exponential(draws)
            gaps *= -1 / math.log1p(-self.p)
            gaps += 1
            positions = torch.from_numpy(gaps).long().cumsum_(0)
            parts.append(positions.add_(last))
            last = int(positions[-1])
        positions = torch.cat(parts) if len(parts) > 1 else positions
        return positions[: int(torch.searchsorted(positions, count))]


class _NormAct(torch.autograd.Function):
    """y = dropout(batch_norm(relu(x))) or dropout(relu(batch_norm(x))), training mode.

    Dropout's factor 1 / (1 - p) goes into batch norm's affine map (it commutes with ReLU). The backward pass is that of
    Ioffe & Szegedy 2015 (section 3), rearranged to dx = k * dy + (affine map of the normalised input).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d, relu_first: bool, drops: Drops
    ) -> Tensor:
        (n, c, h, w), scale = x.shape, drops.scale
        rows = _rows(x.detach())
        if relu_first:
            # In place: in a Sequential nobody else holds what a convolution put out, and it does not look at it again.
            _relu_(rows)
        # One mean and variance for each place in a row; those of a channel's w places combine exactly.
        zeros = torch.zeros(w * c, dtype=weight.dtype)
        means, variances = torch.batch_norm_update_stats(rows, zeros, zeros, 0.0)
        between, mean = torch.var_mean(means.view(w, c), 0, correction=0)
        variance = between + variances.view(w, c).mean(0)
        _track(norm, mean, variance, n * h * w)

        tiled = _tile(torch.stack((weight * scale, bias * scale, mean, variance)), w)
        y = _affine(rows, tiled, norm.eps)
        if not relu_first:
            _relu_(y)
        dropped = drops.draw(y.numel()) if drops.p else None
        if dropped is not None:
            y.view(-1).index_fill_(0, dropped, 0)
        # With ReLU last, y is 0 wherever the gradient stops, dropped elements included.
        ctx.save_for_backward(rows, weight, tiled[2], tiled[3], dropped if relu_first else y)
        ctx.relu_first, ctx.scale, ctx.eps, ctx.shape = relu_first, scale, norm.eps, x.shape
        return _image(y, x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, mean, variance, stops = ctx.saved_tensors
        n, c, h, w = ctx.shape
        dy = _rows(grad)  # changed in place below: in a Sequential nobody else holds this gradient
        if not ctx.relu_first:
            dy = _where_positive(dy, stops)
        elif stops is not None:
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
            dx = _where_positive(dx, rows)
        return _image(dx, ctx.shape), totals[0] * ctx.scale, totals[1] * ctx.scale, None, None, None


def _relu_(x: Tensor) -> None:
    """ReLU in place. A bfloat16 is negative where its bits, read as an int16, are, and integers clamp faster.

    (A NaN whose sign is set becomes 0 that way: whoever looks for divergence has to look at the parameters too.)
    """
    (x.view(torch.int16) if x.dtype == torch.bfloat16 else x).clamp_min_(0)


def _where_positive(x: Tensor, y: Tensor) -> Tensor:
    """`x`, overwritten with 0 wherever `y`, which `_relu_` left, is 0; `y` is overwritten too."""
    if x.dtype == torch.bfloat16:
        # The bits of 0 are 0, those of a positive number at least 1; times 1 or 0 as integers keeps or clears x's bits.
        x.view(torch.int16).mul_(y.view(torch.int16).clamp_(0, 1))
    else:
        aten.threshold_backward(x, y, 0, grad_input=x)
    return x


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
    # A real copy: of one channel, expand and reshape would make a view that does not move, and kernels read past it.
    return vectors.repeat(1, times).unbind(0)
