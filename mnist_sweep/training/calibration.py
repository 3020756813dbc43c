"""What a network's logits are worth once its confidence is put right: one temperature, fitted afterwards.

Guo et al. 2017, On calibration of modern neural networks, arXiv:1706.04599.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

TEMPERATURES = (0.05, 20.0)
"""Lowest and highest that are considered."""


def temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """The T in TEMPERATURES at which logits / T have the lowest cross-entropy.

    Args:
        logits: N x classes.
        labels: int64, N.
    """
    logits = logits.double()
    own = logits.gather(1, labels.unsqueeze(1)).squeeze(1)
    low, high = TEMPERATURES
    for _ in range(50):  # the loss is convex in 1 / T, with this slope
        middle = math.sqrt(low * high)
        slope = ((logits / middle).softmax(1) * logits).sum(1).sub(own).mean()
        low, high = (low, middle) if slope < 0 else (middle, high)
    return math.sqrt(low * high)


def calibrated_loss(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Mean cross-entropy in nats of logits / temperature(logits, labels).

    The temperature is fitted to the very images that are judged: one number for thousands of them.
    """
    return F.cross_entropy(logits.double() / temperature(logits, labels), labels).item()
