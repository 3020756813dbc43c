"""Layer specs -> torch.nn.Module."""

from __future__ import annotations

from torch import nn

from mnist_sweep.architecture import BatchNorm, Conv, Dropout, Layer, Network, Pool, ReLU


def build(network: Network) -> nn.Sequential:
    """The module of `network`: float images N x 1 x 28 x 28 in, logits N x 10 out; PyTorch's default initialisation."""
    return nn.Sequential(*(_module(layer) for layer in network), nn.Flatten())


def _module(layer: Layer) -> nn.Module:
    match layer:
        case Conv(in_channels, out_channels, kernel, padding, bias):
            return nn.Conv2d(in_channels, out_channels, kernel, padding=padding, bias=bias)
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
