import pytest
import torch
import torch.nn.functional as F

from mnist_sweep.training.calibration import TEMPERATURES, calibrated_loss, temperature


@pytest.fixture
def labels() -> torch.Tensor:
    return torch.randint(10, (5_000,), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def honest(labels: torch.Tensor) -> torch.Tensor:
    """Logits whose probabilities are right: labels drawn from them would look like `labels`."""
    noise = torch.randn(len(labels), 10, generator=torch.Generator().manual_seed(1))
    # The posterior of classes with unit-variance Gaussian features at 4 e_k is softmax(4 features).
    return 4 * (4 * F.one_hot(labels, 10) + noise)


def test_honest_logits_need_no_temperature(honest: torch.Tensor, labels: torch.Tensor) -> None:
    assert temperature(honest, labels) == pytest.approx(1, abs=0.1)
    assert calibrated_loss(honest, labels) <= F.cross_entropy(honest.double(), labels).item()


@pytest.mark.parametrize("factor", [0.2, 3.0])
def test_what_only_scales_logits_is_taken_out(honest: torch.Tensor, labels: torch.Tensor, factor: float) -> None:
    assert temperature(factor * honest, labels) == pytest.approx(factor * temperature(honest, labels), rel=1e-5)
    assert calibrated_loss(factor * honest, labels) == pytest.approx(calibrated_loss(honest, labels), rel=1e-6)


def test_no_other_temperature_is_better(honest: torch.Tensor, labels: torch.Tensor) -> None:
    best = calibrated_loss(3 * honest, labels)
    losses = [F.cross_entropy(3 * honest.double() / (3 * t), labels).item() for t in (0.5, 0.9, 1.0, 1.1, 2.0)]
    assert best <= min(losses)


def test_without_a_mistake_the_lowest_temperature_is_best(labels: torch.Tensor) -> None:
    right = F.one_hot(labels, 10).float()
    assert temperature(right, labels) == pytest.approx(TEMPERATURES[0])
    assert temperature(-right, labels) == pytest.approx(TEMPERATURES[1])
