"""A fused network against their torch.nn counterparts."""

import copy
import math

import pytest
import torch
from torch import nn

from mnist_sweep import architecture
from mnist_sweep.training import model
from mnist_sweep.training.fast.fused import (
    LANES,
    Conv,
    FusedNetwork,
    NormAct,
    Other,
    from_blocks,
    is_worth_it,
    to_blocks,
)

NETWORKS = {f"step{n}": architecture.ladder(n, 0.0) for n in range(2, 9)} | {
    "odd widths": architecture.tiny(c1=3, c2=7, squeeze=1, c3=5, c4=9, c5=2, head=11, pools=1, dropout=0.0),
    "two pools": architecture.tiny(c1=8, c2=9, squeeze=0, c3=5, c4=6, c5=7, head=0, pools=2, dropout=0.0),
    "separable": architecture.tiny(
        c1=6, c2=8, squeeze=0, c3=9, c4=11, c5=13, c6=5, head=0, pools=2, separable=True, dropout=0.0
    ),
}


def gradients(network: nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Logits, and the gradients of every parameter, of one training step."""
    logits = network(images).float()
    nn.functional.cross_entropy(logits, torch.arange(len(images)) % 10).backward()
    return {"logits": logits.detach()} | {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


def odd_one() -> nn.Sequential:
    """What the project's own networks do not have: strides, pooling twice, batch norm after pooling, a lone ReLU."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2, stride=1)),
        *(nn.Conv2d(6, 4, 2, bias=True), nn.ReLU(), nn.BatchNorm2d(4), nn.AvgPool2d(1), nn.MaxPool2d(1)),
        *(nn.Conv2d(4, 4, 4, groups=2), nn.ReLU(), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.MaxPool2d(2)),
        *(nn.ReLU(), nn.Conv2d(4, 6, 2), nn.Conv2d(6, 6, 1, groups=3), nn.Conv2d(6, 10, 1), nn.Flatten()),
    )


@pytest.mark.parametrize("size", [32, 37, 5])
@pytest.mark.parametrize("name", [*NETWORKS, "odd one"])
def test_fused_network_is_the_same_function(name: str, size: int) -> None:
    """Logits, gradients and running statistics agree with torch.nn's."""
    torch.manual_seed(0)
    plain = model.build(NETWORKS[name]) if name in NETWORKS else odd_one()
    shared = copy.deepcopy(plain)
    fused = FusedNetwork(shared)
    images = torch.randn(size, 1, 28, 28)
    expected, got = gradients(plain, images), gradients(fused, images)
    assert len(got) == len(expected)
    for mine, theirs in zip(got.values(), expected.values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=2e-5)
    # the fused network's parameters and buffers are the network's own
    for (key, mine), theirs in zip(shared.state_dict().items(), plain.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6, msg=key)
    assert all(p.grad is not None for p in shared.parameters())
    torch.testing.assert_close(fused.eval()(images), plain.eval()(images), rtol=1e-4, atol=1e-5)


def block(channels: int, *, relu_first: bool, p: float = 0.0, pool: int = 1) -> NormAct:
    return NormAct(nn.BatchNorm2d(channels), relu_first=relu_first, p=p, pool=pool)


@pytest.mark.parametrize("p", [0.0, 0.3])
@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize("relu_first", [True, False])
@pytest.mark.parametrize("shape", [(3, 2, 4, 4), (35, 7, 8, 6), (1, 1, 2, 2), (16, 2, 4, 4)])
def test_norm_act_against_autograd(shape: tuple[int, int, int, int], relu_first: bool, pool: int, p: float) -> None:
    """Output and gradients are those of the plain formula in double precision that drops and pools the same."""
    torch.manual_seed(1)
    n, c, _, _ = shape
    layer = block(c, relu_first=relu_first, p=p, pool=pool)
    nn.init.normal_(layer.norm.weight)
    nn.init.normal_(layer.norm.bias)
    x = torch.randn(shape).add(1)
    blocks, saved = layer.forward(to_blocks(x), n)
    y = from_blocks(blocks, n)
    keep = ~from_blocks(saved[1].copy(), n).signbit()  # the gate's sign bits say which elements take no gradient
    direction = torch.randn_like(y)
    gradient, parameter_gradients = layer.backward(to_blocks(direction), saved, n)
    assert not gradient[-1, ..., (n - 1) % LANES + 1 :].any()
    dx = from_blocks(gradient, n)

    plain = nn.BatchNorm2d(c).double()
    plain.load_state_dict(layer.norm.state_dict())
    exact = x.double().requires_grad_()
    z = plain(exact.relu()) if relu_first else plain(exact).relu()
    windows = nn.functional.avg_pool2d(z * keep / (1 - p), pool) * pool**2  # at most one of a window is kept
    expected = torch.autograd.grad((windows * direction).sum(), [exact, *plain.parameters()])
    torch.testing.assert_close(y, windows.float(), rtol=1e-4, atol=1e-5)
    for mine, theirs in zip((dx, *parameter_gradients), expected, strict=True):
        torch.testing.assert_close(mine, theirs.float(), rtol=1e-3, atol=1e-4)
    assert (nn.functional.avg_pool2d(keep.double(), pool) * pool**2).max() <= 1
    if p == 0:
        torch.testing.assert_close(y, nn.functional.max_pool2d(z, pool).float(), rtol=1e-4, atol=1e-5)


def test_pooling_refuses_remainders() -> None:
    with pytest.raises(ValueError, match="7 x 5"):
        block(3, relu_first=True, pool=2).forward(to_blocks(torch.randn(4, 3, 7, 5)), 4)


@pytest.mark.parametrize("relu_first", [True, False])
def test_norm_act_with_dropout(relu_first: bool) -> None:
    """Dropped elements are 0, the others are 1 / (1 - p) times what they would be."""
    torch.manual_seed(3)
    x = torch.randn(16, 8, 10, 10)
    plain, y = (from_blocks(block(8, relu_first=relu_first, p=p).forward(to_blocks(x), 16)[0], 16) for p in (0.0, 0.25))
    kept = y != 0
    torch.testing.assert_close(y[kept], plain[kept] / 0.75, rtol=1e-4, atol=1e-6)
    assert abs((~kept & (plain != 0)).sum().item() / (plain != 0).sum().item() - 0.25) < 0.02


@pytest.mark.parametrize("p", [0.004, 0.03, 0.1, 0.5])
def test_drops_are_bernoulli(p: float) -> None:
    """Every element, every pair of neighbours, an element in successive steps, and the total fit p."""
    torch.manual_seed(4)
    shape, rounds = (20, 2, 2, 5), 1_000
    count = math.prod(shape)
    layer = block(2, relu_first=True, p=p)
    x = torch.rand(shape).add(1)
    outputs = [from_blocks(layer.forward(to_blocks(x), len(x))[0], len(x)) for _ in range(rounds)]
    mask = torch.stack([(y == 0).flatten().float() for y in outputs])
    tolerance = 5 * (p * (1 - p) / rounds) ** 0.5
    assert (mask.mean(0) - p).abs().max() < tolerance
    for near, other in ((mask[:, 1:], mask[:, :-1]), (mask[1:], mask[:-1])):
        assert abs((near * other).mean() - p * p) < 5 * p * (1 / (rounds * count)) ** 0.5
    totals = mask.sum(1)
    assert abs(totals.var() / (count * p * (1 - p)) - 1) < 0.3


def test_dropout_after_pooling_stays_there() -> None:
    """Dropping before and after a max-pool differ."""
    network = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.MaxPool2d(2), nn.Dropout(0.5))
    first, second = FusedNetwork(network).layers
    assert isinstance(first, NormAct)
    assert (first.pool, first.p) == (2, 0)
    assert isinstance(second, Other)


def test_drops_follow_the_global_seed() -> None:
    network = FusedNetwork(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Dropout(0.1)))
    x = torch.rand(8, 1, 6, 6)
    torch.manual_seed(5)
    first, second = network.train()(x), network(x)
    torch.manual_seed(5)
    assert torch.equal(network.train()(x), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 5])
@pytest.mark.parametrize("kernel", [1, 3])
def test_convolution(kernel: int, groups: int, bias: bool) -> None:
    """Output and gradients are nn.Conv2d's."""
    torch.manual_seed(6)
    plain = nn.Conv2d(5, 10, kernel, padding=kernel // 2, bias=bias, groups=groups)
    x = torch.randn(20, 5, 6, 5).requires_grad_()
    expected = plain(x)
    layer = Conv(plain)
    y, saved = layer.forward(to_blocks(x), 20)
    direction = torch.randn_like(expected)
    dx, gradients = layer.backward(to_blocks(direction), saved, 20)
    torch.testing.assert_close(from_blocks(y, 20), expected, rtol=1e-4, atol=1e-5)
    theirs = torch.autograd.grad((expected * direction).sum(), [x, *plain.parameters()])
    for mine, other in zip((from_blocks(dx, 20), *gradients), theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [1, 16, 21])
def test_blocks_hold_sixteen_images(size: int) -> None:
    x = torch.randn(size, 3, 2)
    blocks = to_blocks(x)
    assert blocks.shape == (-(-size // 16), 3, 2, 16)
    assert blocks[-1, 2, 1, (size - 1) % 16] == x[-1, 2, 1]
    assert not blocks[-1, ..., (size - 1) % 16 + 1 :].any()
    assert torch.equal(from_blocks(blocks, size), x)


def test_wide_networks_are_left_to_pytorch() -> None:
    """Gradients of many weights take too much memory here."""
    assert not is_worth_it(model.build(architecture.ladder(1, 0.0)))
    assert all(is_worth_it(model.build(architecture.ladder(step, 0.0))) for step in range(2, 9))


def test_nothing_of_the_ladder_is_left_to_slow_layers() -> None:
    """From step 2 on; step 1 is wide."""
    for step in range(2, 9):
        fused = FusedNetwork(model.build(architecture.ladder(step, 0.1)))
        assert not any(isinstance(layer, Other) for layer in fused.layers)
