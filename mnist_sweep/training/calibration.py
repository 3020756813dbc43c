"""Measure a network's loss after its confidence is calibrated with one fitted temperature.

Guo et al. 2017, On calibration of modern neural networks, arXiv:1706.04599.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

TEMPERATURES = (0.05, 20.0)
"""Lowest and highest temperature considered."""


def temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the T in TEMPERATURES that minimises the cross-entropy of logits / T.

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
    """Return the mean cross-entropy in nats of logits / temperature(logits, labels).

    The temperature is fitted on the evaluated images themselves. It is one number for thousands of images.
    """
    return F.cross_entropy(logits.double() / temperature(logits, labels), labels).item()
