"""SGD and the one-cycle schedule against PyTorch's."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from mnist_sweep.config import parse
from mnist_sweep.training import optimizer

STEPS = 40
SHAPES = [
    {},
    {"pct_start": 0.15, "div_factor": 10, "final_div_factor": 100},
    {"pct_start": 0.01},  # the peak lies before the first step
    {"cycle_momentum": False, "momentum": 0.8, "nesterov": True},
    {"weight_decay": 0.01},
    {"weight_decay": 0.01, "nesterov": True},
    {"weight_decay": 0.01, "decay_norm": False},
    {"lr_schedule": "constant", "max_lr": 0.05},
]


@pytest.mark.parametrize("values", SHAPES, ids=str)
def test_training_is_pytorchs(values: dict[str, Any]) -> None:
    """The same weights, rates and momenta, step by step."""
    chosen = parse({"max_lr": 0.1} | values)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 10))
    plain = copy.deepcopy(network)
    rates = optimizer.rates(chosen, STEPS)
    mine = optimizer.SGD(
        network, rates, weight_decay=chosen.weight_decay, nesterov=chosen.nesterov, decay_norm=chosen.decay_norm
    )
    kernels = [p for p in plain.parameters() if p.ndim > 1]
    others = [p for p in plain.parameters() if p.ndim == 1]
    theirs = torch.optim.SGD(
        [{"params": kernels}, {"params": others} | ({} if chosen.decay_norm else {"weight_decay": 0.0})],
        lr=chosen.max_lr,
        momentum=chosen.momentum,
        weight_decay=chosen.weight_decay,
        nesterov=chosen.nesterov,
    )
    schedule = (
        torch.optim.lr_scheduler.OneCycleLR(
            theirs,
            max_lr=chosen.max_lr,
            total_steps=STEPS,
            pct_start=chosen.pct_start,
            cycle_momentum=chosen.cycle_momentum,
            div_factor=chosen.div_factor,
            final_div_factor=chosen.final_div_factor,
        )
        if chosen.lr_schedule == "onecycle"
        else torch.optim.lr_scheduler.ConstantLR(theirs, 1.0)
    )
    for step in range(STEPS):
        images, labels = torch.randn(16, 1, 6, 6), torch.randint(10, (16,))
        group = theirs.param_groups[0]
        assert rates[step] == pytest.approx((group["lr"], group["momentum"]), rel=1e-9)
        mine.step(nn.functional.cross_entropy(network(images), labels))
        theirs.zero_grad()
        nn.functional.cross_entropy(plain(images), labels).backward()
        theirs.step()
        if step < STEPS - 1:
            schedule.step()
        for got, expected in zip(network.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


def test_the_peak_may_be_the_first_step() -> None:
    """Where PyTorch's schedule divides by zero."""
    rates = optimizer.rates(parse({"max_lr": 0.1, "pct_start": 1 / STEPS}), STEPS)
    assert rates[0] == pytest.approx((0.1, 0.85))
    assert [lr for lr, _ in rates] == sorted((lr for lr, _ in rates), reverse=True)
