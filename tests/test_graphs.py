"""The GPU's path; a machine without one has nothing to run it on."""

from __future__ import annotations

import pytest
import torch

from mnist_sweep import engine
from mnist_sweep.config import parse
from mnist_sweep.mnist import Split

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

# 2,000 images in batches of 128: 15 whole ones and a smaller one, so two recordings
FIELDS = {"preset": "step8", "epochs": 2, "device": "cuda", "precision": "float32"}


def test_a_recorded_step_is_the_step(small: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses with recorded steps are those of the same steps launched one by one."""
    recorded = engine.fit(parse(FIELDS), small)
    monkeypatch.setattr(engine.graphs, "Recorded", lambda function, restoring, parameters: function)
    plain = engine.fit(parse(FIELDS), small)
    for mine, theirs in zip(recorded.history, plain.history, strict=True):
        assert mine.train_loss == pytest.approx(theirs.train_loss, rel=0.02)
        assert mine.loss == pytest.approx(theirs.loss, rel=0.05)


def test_learns_in_bfloat16(small: Split) -> None:
    fit = engine.fit(parse(FIELDS | {"precision": "bfloat16", "epochs": 5, "max_lr": 0.1}), small)
    assert fit.history[-1].accuracy > 0.8
    assert fit.history[-1].train_loss < fit.history[0].train_loss


def test_cpu_and_gpu_augment_the_same_way(small: Split) -> None:
    """The same parameters through the CPU's compiled loops and the GPU's operations."""
    from mnist_sweep import augment

    parameters = torch.rand(8, 100).mul(2).sub(1) * torch.tensor(augment.RANGES).unsqueeze(1)
    images = small.train.images[:100]
    on_gpu = augment._augment(images.cuda(), parameters.cuda()).cpu()
    torch.testing.assert_close(on_gpu, augment._augment(images, parameters), atol=1e-3, rtol=0)
