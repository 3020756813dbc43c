"""Train a network faster on a CPU: `FusedNetwork` shares a network's parameters and replaces its layers.

For a small network, PyTorch's own layers are slow: a convolution of few channels uses a fraction of the processor,
dropout draws its random numbers one at a time, and autograd has an overhead per layer. The fused network keeps
activations in blocks of sixteen images (blocks x channels x height x width x 16, float32), the last one filled up with
zeros. Its compiled kernels do convolutions (`convolutions`), and batch norm, ReLU, dropout and max-pooling together
(`kernels`). They use one thread. Autograd sees a single function.

Each layer computes the same as its torch.nn counterpart, up to rounding and up to the random numbers that it draws.
"""

from __future__ import annotations

import functools
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mnist_sweep.training.fast import convolutions, kernels
from mnist_sweep.training.fast.blocks import Floats
from mnist_sweep.training.fast.vectors import LANES

LARGEST = 20_000
"""Weights of the largest convolution that is worth it. Gradients take 128 bytes per weight; PyTorch is fast if wide."""

NO_STATES = np.zeros((2, LANES), np.float32)


class Link(Protocol):
    """One layer of the fused network. It owns its input, blocks of a batch of `size` images, and may overwrite it."""

    parameters: list[nn.Parameter]

    def __call__(self, x: Floats, size: int) -> Floats:
        """Compute the output in evaluation mode."""

    def forward(self, x: Floats, size: int) -> tuple[Floats, Any]:
        """Compute the output in training mode. Return it with the values that `backward` needs."""

    def backward(self, dy: Floats, saved: Any, size: int) -> tuple[Floats, list[Tensor]]:
        """Return the gradients of the input and of the parameters. Both gradients are 0 for images beyond the batch."""


def is_worth_it(network: nn.Sequential) -> bool:
    """Return whether `FusedNetwork` computes `network` faster than PyTorch's own layers do."""
    return all(p.numel() <= LARGEST for p in network.parameters())


class FusedNetwork(nn.Module):
    """Compute the same as `network` with its parameters and buffers. The input receives no gradient."""

    def __init__(self, network: nn.Sequential) -> None:
        super().__init__()
        self.network, self.layers = network, _layers(network)
        self.train(network.training)

    def train(self, mode: bool = True) -> Self:
        for layer in self.layers:
            if isinstance(layer, NormAct):
                layer.states = None
        return super().train(mode)

    def forward(self, images: Tensor) -> Tensor:
        """Map float32 images to float32 logits."""
        if self.training:
            y: Tensor = _Chain.apply(images, self.layers, *(p for layer in self.layers for p in layer.parameters))
            return y
        x = to_blocks(images)
        for layer in self.layers:
            x = layer(x, len(images))
        return from_blocks(x, len(images))


def _layers(network: nn.Sequential) -> list[Link]:
    layers: list[Link] = []
    waiting = list(network)
    while waiting:
        last = layers[-1] if layers else None
        match waiting:
            case [nn.ReLU(), nn.BatchNorm2d() as norm, *waiting]:
                layers.append(NormAct(norm, relu_first=True))
            case [nn.BatchNorm2d() as norm, nn.ReLU(), *waiting]:
                layers.append(NormAct(norm, relu_first=False))
            case [nn.ReLU(), *waiting]:
                layers.append(NormAct(None, relu_first=True))
            case [nn.Dropout(p=p), *waiting] if isinstance(last, NormAct) and last.p == 0 and last.pool == 1:
                last.p = p
            case [nn.MaxPool2d(kernel_size=2, stride=2, padding=0), *waiting] if (
                isinstance(last, NormAct) and last.pool == 1
            ):
                last.pool = 2
            case [nn.Conv2d(stride=(1, 1), dilation=(1, 1)) as convolution, *waiting] if len(
                {*convolution.kernel_size}
            ) == 1 and convolution.padding in {(p, p) for p in range(convolution.kernel_size[0])}:
                layers.append(Conv(convolution, first=not layers))
            case [nn.AvgPool2d(kernel_size=int(size), stride=stride, padding=0), *waiting] if size == stride:
                layers.append(AvgPool(size))
            case [nn.Flatten(), *waiting]:
                layers.append(Flatten())
            case [other, *waiting]:
                layers.append(Other(other))
    return layers


class _Chain(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, layers: list[Link], *parameters: nn.Parameter) -> Tensor:
        ctx.tape, ctx.size, x = [], len(images), to_blocks(images)
        for layer in layers:
            x, saved = layer.forward(x, ctx.size)
            ctx.tape.append((layer, saved))
        return from_blocks(x, ctx.size)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        gradients: list[Tensor] = []
        blocks = to_blocks(dy)
        while ctx.tape:
            layer, saved = ctx.tape.pop()
            blocks, own = layer.backward(blocks, saved, ctx.size)
            gradients = own + gradients
        return None, None, *gradients


def to_blocks(x: Tensor) -> Floats:
    """Copy N x … to blocks x … x 16. The last block is filled up with zeros."""
    size, shape = len(x), x.shape[1:]
    count = -(-size // LANES)
    rows = x.detach().reshape(size, -1)
    if size % LANES:
        rows = torch.cat([rows, rows.new_zeros(count * LANES - size, rows.shape[1])])
    blocks: Floats = rows.view(count, LANES, -1).transpose(1, 2).contiguous().view(count, *shape, LANES).numpy()
    return blocks


def from_blocks(x: Floats, size: int) -> Tensor:
    """Undo `to_blocks` for a batch of `size` images."""
    return torch.from_numpy(x).movedim(-1, 1).reshape(-1, *x.shape[1:-1])[:size]


@functools.cache
def valid(size: int) -> Floats:
    """Return 1 for each image of the last block that belongs to a batch of `size` images, else 0."""
    return (np.arange(LANES) <= (size - 1) % LANES).astype(np.float32)


class Other:
    """Any module, differentiated by PyTorch's autograd."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.parameters = module, list(module.parameters())

    def __call__(self, x: Floats, size: int) -> Floats:
        return to_blocks(self.module(from_blocks(x, size)))

    def forward(self, x: Floats, size: int) -> tuple[Floats, tuple[Tensor, Tensor]]:
        images = from_blocks(x, size).requires_grad_()
        with torch.enable_grad():
            y = self.module(images.clone())  # the module may work in place
        return to_blocks(y), (images, y)

    def backward(self, dy: Floats, saved: tuple[Tensor, Tensor], size: int) -> tuple[Floats, list[Tensor]]:
        images, y = saved
        dx, *gradients = torch.autograd.grad(y, [images, *self.parameters], from_blocks(dy, size))
        return to_blocks(dx), gradients


class Flatten:
    parameters: list[nn.Parameter] = []  # noqa: RUF012

    def __call__(self, x: Floats, size: int) -> Floats:
        return x.reshape(len(x), -1, LANES)

    def forward(self, x: Floats, size: int) -> tuple[Floats, tuple[int, ...]]:
        return self(x, size), x.shape

    def backward(self, dy: Floats, saved: tuple[int, ...], size: int) -> tuple[Floats, list[Tensor]]:
        return dy.reshape(saved), []


class AvgPool:
    """`nn.AvgPool2d` over size x size."""

    parameters: list[nn.Parameter] = []  # noqa: RUF012

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, x: Floats, size: int) -> Floats:
        y: Floats = kernels.average_pool(x, self.size)
        return y

    def forward(self, x: Floats, size: int) -> tuple[Floats, tuple[int, ...]]:
        return self(x, size), x.shape

    def backward(self, dy: Floats, saved: tuple[int, ...], size: int) -> tuple[Floats, list[Tensor]]:
        return kernels.average_pool_backward(dy, self.size, *saved[2:4]), []


class Conv:
    """`nn.Conv2d` with a square filter and stride 1."""

    def __init__(self, convolution: nn.Conv2d, *, first: bool = False) -> None:
        self.convolution, self.first = convolution, first
        self.parameters = list(convolution.parameters())
        self.size, self.padding = convolution.kernel_size[0], int(convolution.padding[0])
        self.groups = convolution.groups
        self.winograd = self.size == 3 and self.groups == 1 and convolution.in_channels > 1

    def __call__(self, x: Floats, size: int) -> Floats:
        y = self._apply(x, self.convolution.weight.detach().numpy(), self.padding)
        if self.convolution.bias is not None:
            y += self.convolution.bias.detach().numpy()[:, None, None, None]
        return y

    def forward(self, x: Floats, size: int) -> tuple[Floats, Floats]:
        return self(x, size), x

    def backward(self, dy: Floats, saved: Floats, size: int) -> tuple[Floats, list[Tensor]]:
        x, weight = saved, self.convolution.weight.detach().numpy()
        if self.winograd:
            gradient = convolutions.winograd_weight_gradient(x, dy, self.padding)
        else:
            gradient = convolutions.direct_weight_gradient(
                self._flat(x), self._flat(dy), self.size, self.padding, self.groups
            )
        gradients = [torch.from_numpy(gradient)]
        if self.convolution.bias is not None:
            gradients.append(torch.from_numpy(dy.sum((0, 2, 3, 4))))
        if self.first:
            return x, gradients
        # The gradient of the input is a convolution with turned filters.
        groups, (outputs, fan, *_) = self.groups, weight.shape
        turned = weight.reshape(groups, outputs // groups, fan, self.size, self.size).swapaxes(1, 2)[..., ::-1, ::-1]
        turned = np.ascontiguousarray(turned).reshape(groups * fan, outputs // groups, self.size, self.size)
        return self._apply(dy, turned, self.size - 1 - self.padding), gradients

    def _apply(self, x: Floats, weight: Floats, padding: int) -> Floats:
        if self.winograd:
            y: Floats = convolutions.winograd(x, weight, padding)
            return y
        y = convolutions.direct(self._flat(x), weight, padding, self.groups)
        return y.reshape(len(x), len(weight), *x.shape[2:]) if self.size == 1 else y

    def _flat(self, x: Floats) -> Floats:
        """Return images as one row if the filter is 1x1."""
        return x.reshape(*x.shape[:2], 1, -1, LANES) if self.size == 1 else x


class NormAct:
    """ReLU and batch norm in either order, dropout with probability `p`, and `pool` x `pool` max-pooling at once.

    Without `norm`, there is no batch norm.
    """

    def __init__(self, norm: nn.BatchNorm2d | None, *, relu_first: bool, p: float = 0.0, pool: int = 1) -> None:
        self.norm, self.relu_first, self.p, self.pool = norm, relu_first, p, pool
        self.parameters: list[nn.Parameter] = [] if norm is None else [norm.weight, norm.bias]
        self.states: Floats | None = None

    def __call__(self, x: Floats, size: int) -> Floats:
        return self._apply(x, self._statistics(x, None), 0.0, NO_STATES)[0]

    def forward(self, x: Floats, size: int) -> tuple[Floats, Any]:
        return self._apply(x, self._statistics(x, size), self.p, self._states() if self.p else NO_STATES)

    def _statistics(self, x: Floats, size: int | None) -> tuple[Floats, Floats]:
        """Return means and inverse deviations of a batch of `size` images, or the running ones if `size` is None."""
        norm = self.norm
        if norm is None:
            return np.zeros(x.shape[1], np.float32), np.ones(x.shape[1], np.float32)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        mean, variance = norm.running_mean.numpy(), norm.running_var.numpy()
        if size is None:
            return mean, (1 / np.sqrt(variance + norm.eps)).astype(np.float32)
        assert norm.num_batches_tracked is not None
        norm.num_batches_tracked.add_(1)
        statistics: tuple[Floats, Floats] = kernels.normalise(
            *(x, valid(size), self.relu_first, norm.eps, mean, variance, norm.momentum)
        )
        return statistics

    def _affine(self, channels: int) -> tuple[Floats, Floats]:
        if self.norm is None:
            return np.ones(channels, np.float32), np.zeros(channels, np.float32)
        return self.norm.weight.detach().numpy(), self.norm.bias.detach().numpy()

    def _apply(self, x: Floats, statistics: tuple[Floats, Floats], p: float, states: Floats) -> tuple[Floats, Any]:
        (blocks, channels, height, width, _), pool = x.shape, self.pool
        if height % pool or width % pool:
            raise ValueError(f"{height} x {width} images do not divide into {pool} x {pool}")
        y = np.empty((blocks, channels, height // pool, width // pool, LANES), np.float32)
        gate = x if self.relu_first else y if pool == 1 else np.empty_like(x)
        kernels.norm_act_forward(x, gate, y, *statistics, *self._affine(channels), self.relu_first, p, states, pool)
        return y, (x, gate, statistics)

    def backward(self, dy: Floats, saved: Any, size: int) -> tuple[Floats, list[Tensor]]:
        x, gate, statistics = saved
        # The gradient overwrites the input.
        gradients = kernels.norm_act_backward(
            *(dy, x, gate, x, valid(size), *statistics, self._affine(x.shape[1])[0]),
            *(self.norm is not None, self.relu_first, self.p, self.pool),
        )
        return x, [torch.from_numpy(gradient) for gradient in gradients] if self.parameters else []

    def _states(self) -> Floats:
        """Return the states of dropout's sixteen random generators (2 x 16, bits of uint32).

        After each `train()` they are seeded from PyTorch's global generator, so dropout follows `torch.manual_seed`.
        """
        if self.states is None:
            random = np.random.Generator(np.random.SFC64(int(torch.randint(2**62, ()))))
            self.states = random.integers(2**32, size=(2, LANES), dtype=np.uint32).view(np.float32)
        return self.states
