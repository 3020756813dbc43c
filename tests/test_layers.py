"""The quick layers against their torch.nn counterparts."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from mnist_sweep import architecture, layers, model

NETWORKS = {f"step{n}": architecture.ladder(n, 0.0) for n in range(2, 9)} | {
    "odd widths": architecture.tiny(c1=3, c2=7, squeeze=1, c3=5, c4=9, c5=2, head=11, pools=1, dropout=0.0),
    "two pools": architecture.tiny(c1=8, c2=9, squeeze=0, c3=5, c4=6, c5=7, head=0, pools=2, dropout=0.0),
}


def gradients(network: nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Logits, and the gradients of every parameter, of one training step."""
    logits = network(images).float()
    nn.functional.cross_entropy(logits, torch.arange(len(images)) % 10).backward()
    return {"logits": logits.detach()} | {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", NETWORKS)
def test_fused_is_the_same_function(name: str) -> None:
    """Logits, gradients and running statistics agree with torch.nn's."""
    torch.manual_seed(0)
    plain = model.build(NETWORKS[name])
    shared = copy.deepcopy(plain)
    twin = layers.fused(shared)
    images = torch.randn(32, 1, 28, 28)
    expected, got = gradients(plain, images), gradients(twin, images)
    assert len(got) == len(expected)
    for mine, theirs in zip(got.values(), expected.values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=2e-5)
    # the twin's parameters and buffers are the network's own
    for (key, mine), theirs in zip(shared.state_dict().items(), plain.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6, msg=key)
    assert all(p.grad is not None for p in shared.parameters())
    torch.testing.assert_close(twin.eval()(images), plain.eval()(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("relu_first", [True, False])
def test_norm_act_gradient_is_the_derivative(relu_first: bool) -> None:
    """Backward against finite differences in double precision, dropout on: no PyTorch layer is the judge here."""
    torch.manual_seed(1)
    norm = nn.BatchNorm2d(2).double()
    block = layers.NormAct(norm, relu_first=relu_first, p=0.3)
    x = torch.randn(3, 2, 3, 3, dtype=torch.double).contiguous(memory_format=torch.channels_last).requires_grad_()

    def run(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(2)  # the same elements dropped every time
        return layers._NormAct.apply(x.clone(), weight, bias, norm, relu_first, block.drops.train())

    assert torch.autograd.gradcheck(run, (x, norm.weight, norm.bias), eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("relu_first", [True, False])
def test_norm_act_with_dropout(relu_first: bool) -> None:
    """Dropped elements are 0, the others are 1 / (1 - p) times what they would be."""
    torch.manual_seed(3)
    x = torch.randn(16, 8, 10, 10).contiguous(memory_format=torch.channels_last)
    plain = layers.NormAct(nn.BatchNorm2d(8), relu_first=relu_first)(x.clone())
    y = layers.NormAct(nn.BatchNorm2d(8), relu_first=relu_first, p=0.25).train()(x)
    kept = y != 0
    torch.testing.assert_close(y[kept], plain[kept] / 0.75, rtol=1e-4, atol=1e-6)
    assert abs((~kept & (plain != 0)).sum().item() / (plain != 0).sum().item() - 0.25) < 0.02


@pytest.mark.parametrize("step", [7, 8])
def test_bfloat16_rounds_but_does_not_drift(step: int) -> None:
    """In bfloat16 the twin's gradients point where float32's do, about as closely as PyTorch's autocast."""
    torch.manual_seed(0)
    network = model.build(architecture.ladder(step, 0.0))
    images = torch.randn(128, 1, 28, 28)

    def flat(module: nn.Module, images: torch.Tensor, autocast: bool = False) -> torch.Tensor:
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            found = gradients(module, images)
        return torch.cat([value.flatten().float() for key, value in found.items() if key != "logits"])

    exact = flat(network, images)
    rounded = flat(layers.fused(network), images.bfloat16())
    autocast = flat(network, images, autocast=True)
    error, usual = (exact - rounded).norm(), (exact - autocast).norm()
    assert error < 2 * usual
    assert torch.cosine_similarity(exact, rounded, dim=0) > 0.95


@pytest.mark.parametrize("p", [0.004, 0.03, 0.1, 0.5])
def test_drops_are_bernoulli(p: float) -> None:
    """Positions are distinct, ascending, in range; every position, every pair of neighbours and the total fit p."""
    torch.manual_seed(4)
    count, rounds = 400, 1_000
    mask = torch.zeros(rounds, count)
    drops = layers.Drops(p).train()
    for row in mask:
        positions = drops.draw(count)
        assert (positions.diff() > 0).all()
        row[positions] = 1
    tolerance = 5 * (p * (1 - p) / rounds) ** 0.5
    assert (mask.mean(0) - p).abs().max() < tolerance
    neighbours = (mask[:, 1:] * mask[:, :-1]).mean()
    assert abs(neighbours - p * p) < 5 * p * (1 / (rounds * count)) ** 0.5
    totals = mask.sum(1)
    assert abs(totals.var() / (count * p * (1 - p)) - 1) < 0.3


def test_drops_follow_the_global_seed() -> None:
    torch.manual_seed(5)
    drops = layers.Drops(0.1).train()
    first, second = drops.draw(10_000), drops.draw(10_000)
    torch.manual_seed(5)
    assert torch.equal(drops.train().draw(10_000), first)
    assert not torch.equal(first, second)


def test_dropout_alone() -> None:
    """After an activation without batch norm: scaled, zeroed, same mask backward; the identity in eval mode."""
    torch.manual_seed(6)
    x = torch.rand(8, 4, 6, 6).add(1).contiguous(memory_format=torch.channels_last).requires_grad_()
    layer = layers.Dropout(0.2).train()
    y = layer(x)
    y.sum().backward()
    torch.testing.assert_close(y, x * x.grad)
    assert set(x.grad.unique().tolist()) == {0.0, 1.25}
    assert layer.eval()(x) is x


def test_fused_merges_every_dropout_of_the_ladder() -> None:
    for step in range(1, 9):
        twin = layers.fused(model.build(architecture.ladder(step, 0.1)))
        assert not any(isinstance(module, nn.Dropout | nn.Conv2d) for module in twin)
