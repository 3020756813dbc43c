"""SGD with momentum on all parameters as one vector, and the one-cycle schedule.

They compute the same as `torch.optim.SGD` and `torch.optim.lr_scheduler.OneCycleLR`. The rates of all steps are
computed beforehand and stored on the device: a step never waits for the device, and a CUDA graph can hold all of it.
A new process also avoids importing PyTorch's optimizers, which takes longer than importing PyTorch itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mnist_sweep.config import RunConfig

MOMENTA = (0.85, 0.95)
"""Momentum at the highest rate and at the ends of the cycle (Smith 2018, arXiv:1803.09820)."""


def rates(config: RunConfig, steps: int) -> list[tuple[float, float]]:
    """Return learning rate and momentum of each of `steps` steps.

    One cycle rises along half a cosine from max_lr / div_factor to max_lr in the first pct_start of the steps. It then
    falls along another half cosine to max_lr / div_factor / final_div_factor.
    """
    if config.lr_schedule == "constant":
        return [(config.max_lr, config.momentum)] * steps
    first = config.max_lr / config.div_factor
    last = first / config.final_div_factor
    low, high = MOMENTA if config.cycle_momentum else (config.momentum, config.momentum)
    peak = config.pct_start * steps - 1  # may be fractional

    def at(step: int) -> tuple[float, float]:
        if step <= peak:
            share = step / peak if peak else 1.0
            return _cosine(first, config.max_lr, share), _cosine(high, low, share)
        share = (step - peak) / (steps - 1 - peak)
        return _cosine(config.max_lr, last, share), _cosine(low, high, share)

    return [at(step) for step in range(steps)]


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


class SGD:
    """Update the parameters of a network, which become views of one vector, `weights`."""

    def __init__(
        self,
        network: nn.Module,
        rates: Sequence[tuple[float, float]],
        *,
        weight_decay: float,
        nesterov: bool,
        decay_norm: bool = True,
    ) -> None:
        """
        Args:
            rates: learning rate and momentum of each step. The last pair is used for all further steps.
            decay_norm: if false, one-dimensional parameters (batch norm, biases) do not decay.
        """
        self.parameters = list(network.parameters())
        self.weights = nn.utils.parameters_to_vector(self.parameters).detach()
        nn.utils.vector_to_parameters(self.weights, self.parameters)
        self.velocity = torch.zeros_like(self.weights)
        self.rates = torch.tensor(rates, dtype=torch.float32, device=self.weights.device)
        self.steps = torch.zeros(1, dtype=torch.int64, device=self.weights.device)
        """Number of steps made."""
        self.weight_decay, self.nesterov = weight_decay, nesterov
        decaying = torch.cat([torch.full_like(p, p.ndim > 1).flatten() for p in self.parameters])
        self.decaying = None if decay_norm else decaying
        """1 for each weight that decays, 0 for the others; None if all decay."""

    @torch.no_grad()
    def step(self, loss: Tensor) -> None:
        """Make one step down the gradient of `loss`."""
        with torch.enable_grad():
            gradients = torch.autograd.grad(loss, self.parameters)
        lr, momentum = self.rates.index_select(0, self.steps.clamp(max=len(self.rates) - 1))[0]
        change = torch.cat([gradient.flatten() for gradient in gradients])
        if self.weight_decay:
            decaying = self.weights if self.decaying is None else self.weights * self.decaying
            change.add_(decaying, alpha=self.weight_decay)
        self.velocity.mul_(momentum).add_(change)
        self.weights -= lr * (change.add_(momentum * self.velocity) if self.nesterov else self.velocity)
        self.steps += 1

    @property
    def state(self) -> list[Tensor]:
        """Everything that a step changes, except for the network."""
        return [self.velocity, self.steps]
