"""Layer specs -> torch.nn.Module."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from mnist_sweep.architecture import BatchNorm, Conv, Dropout, Layer, Network, Pool, ReLU


def build(network: Network) -> nn.Sequential:
    """The module of `network`: float images N x 1 x 28 x 28 in, logits N x 10 out; PyTorch's default initialisation."""
    return nn.Sequential(*(_module(layer) for layer in network), nn.Flatten())


@torch.no_grad()
def estimate_statistics(network: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Make batch norm's running means and variances the averages over `batches` (float, N x 1 x 28 x 28), no dropout.

    While training they follow the last few augmented batches, which is neither what the trained network meets nor
    exact ("precise batch norm": Wu & Johnson 2021, Rethinking "Batch" in BatchNorm). Leaves `network` in eval mode.
    """
    norms = [(module, module.momentum) for module in network.eval().modules() if isinstance(module, nn.BatchNorm2d)]
    for norm, _ in norms:
        norm.train()
    for count, batch in enumerate(batches, 1):
        for norm, _ in norms:
            norm.momentum = 1 / count  # so that the first replaces what was there, and all count alike
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
