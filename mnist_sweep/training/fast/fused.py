"""Train a network faster on a CPU: `FusedNetwork` shares a network's parameters and replaces its layers.

For a small network, PyTorch's own layers spend most of a step outside the convolutions: they draw dropout's random
numbers one at a time, their vector loops are slow for few channels, and autograd has an overhead per layer. The fused
network keeps activations in channels-last order, which oneDNN's convolutions need. The kernels in `kernels` compute
batch norm, ReLU, dropout and max-pooling together. Autograd sees a single function.

Each layer computes the same as its torch.nn counterpart, up to rounding and up to the random numbers that it draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mnist_sweep.training.fast import kernels

NO_STATES = np.zeros((2, 0), np.uint32)


class Link(Protocol):
    """One layer of the fused network. It owns its input and may overwrite it."""

    parameters: list[nn.Parameter]

    def __call__(self, x: Tensor) -> Tensor:
        """Compute the output in evaluation mode."""

    def forward(self, x: Tensor) -> tuple[Tensor, Any]:
        """Compute the output in training mode. Return it with the values that `backward` needs."""

    def backward(self, dy: Tensor, saved: Any) -> tuple[Tensor | None, list[Tensor]]:
        """Return the gradients of the input and of the parameters."""


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

    def forward(self, x: Tensor) -> Tensor:
        """Map float32 or bfloat16 images to logits of the same dtype. Parameters stay float32."""
        if self.training:
            y: Tensor = _Chain.apply(x, self.layers, *(p for layer in self.layers for p in layer.parameters))
            return y
        for layer in self.layers:
            x = layer(x)
        return x


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
            case [nn.Dropout(p=p), *waiting] if isinstance(last, NormAct) and last.p == 0 and last.pool == 1:
                last.p = p
            case [nn.MaxPool2d(kernel_size=2, stride=2, padding=0), *waiting] if (
                isinstance(last, NormAct) and last.pool == 1
            ):
                last.pool = 2
            case [nn.Conv2d(stride=(1, 1), dilation=(1, 1)) as convolution, *waiting]:
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
    def forward(ctx: Any, x: Tensor, layers: list[Link], *parameters: nn.Parameter) -> Tensor:
        ctx.tape = []
        for layer in layers:
            x, saved = layer.forward(x)
            ctx.tape.append((layer, saved))
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        gradients: list[Tensor] = []
        while ctx.tape:
            layer, saved = ctx.tape.pop()
            dy, own = layer.backward(dy, saved)
            gradients = own + gradients
        return None, None, *gradients


class Other:
    """Any module, differentiated by PyTorch's autograd."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.parameters = module, list(module.parameters())

    def __call__(self, x: Tensor) -> Tensor:
        y: Tensor = self.module(x)
        return y

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            y = self.module(x.clone())  # the module may work in place
        return y.detach(), (x, y)

    def backward(self, dy: Tensor, saved: tuple[Tensor, Tensor]) -> tuple[Tensor, list[Tensor]]:
        x, y = saved
        dx, *gradients = torch.autograd.grad(y, [x, *self.parameters], dy)
        return dx, gradients


class Flatten:
    parameters: list[nn.Parameter] = []  # noqa: RUF012

    def __call__(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def forward(self, x: Tensor) -> tuple[Tensor, torch.Size]:
        return x.flatten(1), x.shape

    def backward(self, dy: Tensor, saved: torch.Size) -> tuple[Tensor, list[Tensor]]:
        return dy.view(saved), []


class AvgPool:
    """`nn.AvgPool2d` over size x size."""

    parameters: list[nn.Parameter] = []  # noqa: RUF012

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, self.size)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return F.avg_pool2d(x, self.size), x

    def backward(self, dy: Tensor, saved: Tensor) -> tuple[Tensor, list[Tensor]]:
        size = [self.size, self.size]
        dx = torch.ops.aten.avg_pool2d_backward(dy, saved, size, size, [0, 0], False, True, None)
        return dx, []


class Conv:
    """`nn.Conv2d` with float32 parameters rounded to the input's dtype. Input and output are channels-last."""

    def __init__(self, convolution: nn.Conv2d, *, first: bool = False) -> None:
        self.convolution, self.first = convolution, first
        self.parameters = list(convolution.parameters())

    def __call__(self, x: Tensor) -> Tensor:
        return self.forward(x)[0]

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        convolution = self.convolution
        weight, bias = (None if p is None else p.detach().to(x.dtype) for p in (convolution.weight, convolution.bias))
        assert weight is not None
        if x.shape[1] == 1:
            # With one channel both memory formats have the same bytes; only these strides mean channels-last.
            x = x.contiguous().as_strided(x.shape, (x[0].numel(), 1, x.shape[3], 1))
        if self._dense(x, weight):
            y = F.linear(x.flatten(1), weight.flatten(1), bias)[:, :, None, None]
        else:
            y = F.conv2d(x, weight, bias, padding=convolution.padding, groups=convolution.groups)
        return y, (x, weight)

    def backward(self, dy: Tensor, saved: tuple[Tensor, Tensor]) -> tuple[Tensor | None, list[Tensor]]:
        x, weight = saved
        _, *own = self.parameters
        dx: Tensor | None
        if self._dense(x, weight):
            rows = dy.flatten(1)
            dx, dw, db = (rows @ weight.flatten(1))[:, :, None, None], rows.T @ x.flatten(1), rows.sum(0)
        else:
            dx, dw, db = torch.ops.aten.convolution_backward(
                *(dy, x, weight, [len(weight)], [1, 1], self.convolution.padding, [1, 1]),
                *(False, [0, 0], self.convolution.groups),
                [not self.first, True, bool(own)],
            )
        return dx, [g.float().view_as(p) for g, p in zip((dw, db), self.parameters, strict=False)]

    def _dense(self, x: Tensor, weight: Tensor) -> bool:
        """Return whether the convolution is a plain matrix product."""
        return x.shape[2:] == weight.shape[2:] == (1, 1) and self.convolution.groups == 1


class NormAct:
    """ReLU and batch norm in either order, dropout with probability `p`, and `pool` x `pool` max-pooling at once."""

    def __init__(self, norm: nn.BatchNorm2d, *, relu_first: bool, p: float = 0.0, pool: int = 1) -> None:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.momentum is not None
        self.norm, self.relu_first, self.p, self.pool = norm, relu_first, p, pool
        self.parameters = [norm.weight, norm.bias]
        # NumPy views of the same memory, created once.
        self.affine = norm.weight.detach().numpy(), norm.bias.detach().numpy()
        self.running = norm.running_mean.numpy(), norm.running_var.numpy(), norm.momentum
        self.states: npt.NDArray[np.uint32] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        mean, variance, _ = self.running
        inverse = (1 / np.sqrt(variance + self.norm.eps)).astype(np.float32)
        return self._apply(x, lambda bits: (mean, inverse), p=0.0)[0]

    def forward(self, x: Tensor) -> tuple[Tensor, Any]:
        assert self.norm.num_batches_tracked is not None
        self.norm.num_batches_tracked.add_(1)
        return self._apply(
            x, lambda bits: kernels.normalise(bits, self.relu_first, self.norm.eps, *self.running), self.p
        )

    def _apply(
        self, x: Tensor, statistics_of: Callable[[kernels.Bits], tuple[kernels.Floats, kernels.Floats]], p: float
    ) -> tuple[Tensor, Any]:
        (n, c, h, w), pool = x.shape, self.pool
        if h % pool or w % pool:
            raise ValueError(f"{h} x {w} images do not divide into {pool} x {pool}")
        rows = _rows(x, pool)
        y = rows.new_empty(len(rows) // pool, rows.shape[1] // pool)
        gate = rows if self.relu_first else y if pool == 1 else torch.empty_like(rows)
        bits, gate_bits = kernels.bits(rows), kernels.bits(gate)
        statistics = statistics_of(bits)
        kernels.norm_act_forward(
            *(bits, gate_bits, kernels.bits(y), *statistics, *self.affine),
            *(self.relu_first, p, self._states(rows.shape[1]) if p else NO_STATES, pool),
        )
        return _image(y, (n, c, h // pool, w // pool)), (rows, bits, gate_bits, statistics, x.shape)

    def backward(self, dy: Tensor, saved: Any) -> tuple[Tensor, list[Tensor]]:
        rows, bits, gate_bits, statistics, shape = saved
        arriving = _rows(dy, self.pool).view(len(bits) // self.pool, -1)
        # The gradient overwrites the input.
        gradients = kernels.norm_act_backward(
            *(kernels.bits(arriving), bits, gate_bits, bits, *statistics, self.affine[0]),
            *(self.relu_first, self.p, self.pool),
        )
        return _image(rows, shape), [torch.from_numpy(gradient) for gradient in gradients]

    def _states(self, columns: int) -> npt.NDArray[np.uint32]:
        """Return the state of dropout's random generators, one per column (uint32, 2 x columns).

        After each `train()` they are seeded from PyTorch's global generator, so dropout follows `torch.manual_seed`.
        """
        if self.states is None or self.states.shape[1] != columns:
            random = np.random.Generator(np.random.SFC64(int(torch.randint(2**62, ()))))
            self.states = random.integers(2**32, size=(2, columns), dtype=np.uint32)
        return self.states


def _rows(x: Tensor, pool: int) -> Tensor:
    """Reshape N x C x H x W to (N H) x (W C): a view if `x` is channels-last, else a copy.

    Without pooling, several short rows are joined into one.
    """
    n, c, h, w = x.shape
    together = 1
    while pool == 1 and n * h % (2 * together) == 0 and 2 * together * w * c <= 1024:
        together *= 2
    return x.permute(0, 2, 3, 1).reshape(n * h // together, together * w * c)


def _image(rows: Tensor, shape: Sequence[int]) -> Tensor:
    """Undo `_rows`."""
    n, c, h, w = shape
    return rows.view(n, h, w, c).permute(0, 3, 1, 2)
