"""The GPU's path: on a CPU its parts that run there, the rest where there is a GPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mnist_sweep.config import parse
from mnist_sweep.training import augment, engine
from mnist_sweep.training.fast import cuda_graph, kernels
from mnist_sweep.training.mnist import Split

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

# 2,000 images in batches of 128: 15 whole ones and a smaller one, so two recordings
FIELDS = {"preset": "step8", "epochs": 2, "device": "cuda", "precision": "float32"}


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU, the network and the augmentation a GPU runs: PyTorch's own layers and operations."""

    def augmented(images: Any, parameters: Any, mean: float, std: float, out: Any) -> None:
        pixels = augment._augment(torch.from_numpy(images), torch.from_numpy(parameters))
        out[:] = kernels.bits(pixels.flatten(1))

    monkeypatch.setattr(kernels, "augment", augmented)
    monkeypatch.setattr(engine, "_twin", lambda network, device: network)


ON_CPU = FIELDS | {"device": "cpu", "threads": 1, "epochs": 1}


def test_both_paths_come_to_the_same(small: Split, request: pytest.FixtureRequest) -> None:
    """Without dropout, whose random numbers differ."""
    chosen = parse(ON_CPU | {"dropout": 0.0})
    compiled = engine.fit(chosen, small).history[0]
    request.getfixturevalue("as_on_a_gpu")
    plain = engine.fit(chosen, small).history[0]
    assert plain.train_loss == pytest.approx(compiled.train_loss, rel=1e-3)
    assert plain.loss == pytest.approx(compiled.loss, rel=1e-2)


@pytest.mark.usefixtures("as_on_a_gpu")
def test_what_a_recording_runs_beforehand_leaves_no_trace(small: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps inside `_restoring` change neither weights nor random numbers nor batch norm's statistics nor the sums."""
    chosen, warmed = parse(ON_CPU | {"dropout": 0.1, "weight_decay": 1e-3}), list[int]()
    plain = engine.fit(chosen, small).history[0]
    step = engine._Trainer._step

    def warm_up_first(trainer: engine._Trainer, index: torch.Tensor) -> None:
        if len(index) not in warmed:
            warmed.append(len(index))
            with trainer._restoring():
                for _ in range(cuda_graph.WARM_UP):
                    step(trainer, index)
        step(trainer, index)

    monkeypatch.setattr(engine._Trainer, "_step", warm_up_first)
    mine = engine.fit(chosen, small).history[0]
    assert warmed == [128, 2_000 % 128]
    assert (mine.train_loss, mine.train_accuracy, mine.loss) == (plain.train_loss, plain.train_accuracy, plain.loss)


@needs_gpu
def test_a_recorded_step_is_the_step(small: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses with recorded steps are those of the same steps launched one by one."""
    recorded = engine.fit(parse(FIELDS), small)
    monkeypatch.setattr(engine.graphs, "Recorded", lambda function, restoring: function)
    plain = engine.fit(parse(FIELDS), small)
    for mine, theirs in zip(recorded.history, plain.history, strict=True):
        assert mine.train_loss == pytest.approx(theirs.train_loss, rel=0.02)
        assert mine.loss == pytest.approx(theirs.loss, rel=0.05)


@needs_gpu
def test_learns_in_bfloat16(small: Split) -> None:
    fit = engine.fit(parse(FIELDS | {"precision": "bfloat16", "epochs": 5, "max_lr": 0.1}), small)
    assert fit.history[-1].accuracy > 0.8
    assert fit.history[-1].train_loss < fit.history[0].train_loss


@needs_gpu
def test_cpu_and_gpu_augment_the_same_way(small: Split) -> None:
    """The same parameters through the CPU's compiled loops and the GPU's operations."""
    parameters = torch.rand(8, 100).mul(2).sub(1) * torch.tensor(augment.RANGES).unsqueeze(1)
    images = small.train.images[:100]
    on_gpu = augment._augment(images.cuda(), parameters.cuda()).cpu()
    torch.testing.assert_close(on_gpu, augment._augment(images, parameters), atol=1e-3, rtol=0)
