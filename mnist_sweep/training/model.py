"""Build a torch.nn.Module from layer specifications."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from mnist_sweep.architecture import BatchNorm, Conv, Dropout, Layer, Network, Pool, ReLU


def build(network: Network) -> nn.Sequential:
    """Return the module of `network` with PyTorch's default initialisation.

    It maps float images (N x 1 x 28 x 28) to logits (N x 10).
    """
    return nn.Sequential(*(_module(layer) for layer in network), nn.Flatten())


@torch.no_grad()
def estimate_statistics(network: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Set batch norm's running means and variances to their averages over `batches` (float, N x 1 x 28 x 28).

    During training they follow the last few augmented batches: a noisy estimate for other images than the trained
    network sees ("precise batch norm": Wu & Johnson 2021, Rethinking "Batch" in BatchNorm). There is no dropout.
    Leaves `network` in evaluation mode.
    """
    norms = [(module, module.momentum) for module in network.eval().modules() if isinstance(module, nn.BatchNorm2d)]
    for norm, _ in norms:
        norm.train()
    for count, batch in enumerate(batches, 1):
        for norm, _ in norms:
            norm.momentum = 1 / count  # a plain average: the first batch replaces the old value
        network(batch)
    for norm, momentum in norms:
        norm.momentum = momentum
    network.eval()


def _module(layer: Layer) -> nn.Module:
    match layer:
        case Conv(in_channels, out_channels, kernel, padding, bias, groups):
            return nn.Conv2d(in_channels, out_channels, kernel, padding=padding, bias=bias, groups=groups)
        case BatchNorm(channels):
            return nn.BatchNorm2d(channels)
        case ReLU():
            return nn.ReLU(inplace=True)
        case Dropout(p):
            return nn.Dropout(p)
        case Pool("max", size):
            return nn.MaxPool2d(size)
        case Pool("avg", size):
            return nn.AvgPool2d(size)
    raise TypeError(f"no module for {layer!r}")
