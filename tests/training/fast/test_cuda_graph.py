"""The GPU's path: on a CPU its parts that run there, with recorders that are right and wrong; the rest on a GPU."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mnist_sweep.config import parse
from mnist_sweep.training import augment, engine
from mnist_sweep.training.fast import cuda_graph, kernels
from mnist_sweep.training.fast.cuda_graph import Recorder, Step
from mnist_sweep.training.mnist import Split

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

# 2,000 images in batches of 128: 15 whole ones and a smaller one, so two recordings
FIELDS = {"preset": "step8", "epochs": 2, "device": "cuda", "precision": "float32"}


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU, the network and the augmentation a GPU runs: PyTorch's own layers and operations."""

    def augmented(images: Any, parameters: Any, mean: float, std: float, out: Any) -> None:
        pixels = augment._augment(torch.from_numpy(images), torch.from_numpy(parameters))
        out[:] = pixels.flatten(1)

    monkeypatch.setattr(kernels, "augment", augmented)
    monkeypatch.setattr(engine, "_fast", lambda network, device: network)


ON_CPU = FIELDS | {"device": "cpu", "threads": 1, "epochs": 1}


def test_both_paths_come_to_the_same(small: Split, request: pytest.FixtureRequest) -> None:
    """Without dropout, whose random numbers differ."""
    chosen = parse(ON_CPU | {"dropout": 0.0})
    compiled = engine.fit(chosen, small).history[0]
    request.getfixturevalue("as_on_a_gpu")
    plain = engine.fit(chosen, small).history[0]
    assert plain.train_loss == pytest.approx(compiled.train_loss, rel=1e-3)
    assert plain.loss == pytest.approx(compiled.loss, rel=1e-2)


# --- recorders, as a GPU's might be -----------------------------------------------------------------------------------


Launch = Callable[[], None]


def right(step: Step, given: Tensor, generator: torch.Generator) -> Launch:
    for _ in range(cuda_graph.WARM_UP):
        step(given)
    return lambda: step(given)


def idle(step: Step, given: Tensor, generator: torch.Generator) -> Launch:
    """Nothing was recorded, as when the kernels went to another stream."""
    return lambda: None


def the_same_images(step: Step, given: Tensor, generator: torch.Generator) -> Launch:
    kept = given.clone()
    return lambda: step(kept)


def the_same_augmentation(step: Step, given: Tensor, generator: torch.Generator) -> Launch:
    return repeating(generator, lambda: step(given))


def the_same_dropout(step: Step, given: Tensor, generator: torch.Generator) -> Launch:
    return repeating(torch.default_generator, lambda: step(given))


def repeating(generator: torch.Generator, launch: Launch) -> Launch:
    """With the same random numbers at every replay, as when a generator is not registered."""
    kept = generator.get_state()

    def replay() -> None:
        generator.set_state(kept)
        launch()

    return replay


def not_recordable(step: Step, given: Tensor, generator: torch.Generator) -> Launch:
    step(given)
    raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nCUDA kernel errors might be …")


def without_memory(step: Step, given: Tensor, generator: torch.Generator) -> Launch:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of …")


def failing_later(step: Step, given: Tensor, generator: torch.Generator) -> Launch:
    def replay() -> None:
        step(given)
        raise RuntimeError("CUDA error: invalid argument")

    return replay


DIFFER = "replays give other weights or losses"
CHOSEN = parse(ON_CPU | {"dropout": 0.1, "weight_decay": 1e-3, "batch_size": 128})


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize(
    ("recorder", "why", "replays"),
    [
        # 16 steps; three replays of each of the two recordings come first
        (right, None, 16 + 2 * 3),
        (idle, DIFFER, 3),
        (the_same_images, DIFFER, 3),
        (the_same_augmentation, DIFFER, 3),
        (the_same_dropout, DIFFER, 3),
        (not_recordable, "CUDA error: operation not permitted when stream is capturing", 0),
        (without_memory, "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of …", 0),
        (failing_later, "CUDA error: invalid argument", 1),
    ],
)
def test_a_recording_is_used_if_it_is_right(
    recorder: Recorder, why: str | None, replays: int, small: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metrics and weights are those of plain steps to the last digit: a recording, right or wrong, leaves no trace."""
    plain = engine.fit(CHOSEN, small)
    said, replayed = list[str](), list[int]()

    def counting(step: Step, given: Tensor, generator: torch.Generator) -> Launch:
        launch = recorder(step, given, generator)

        def replay() -> None:
            replayed.append(len(given))
            launch()

        return replay

    monkeypatch.setitem(cuda_graph.RECORDERS, "cpu", counting)
    mine = engine.fit(CHOSEN, small, say=said.append)
    line = f"CUDA graphs are not used ({why}): training continues with plain steps, slower but correct"
    assert said == ([] if why is None else [line])
    assert len(replayed) == replays
    assert [replace(e, images_per_second=0) for e in mine.history] == [
        replace(e, images_per_second=0) for e in plain.history
    ]
    for value, expected in zip(mine.model.state_dict().values(), plain.model.state_dict().values(), strict=True):
        assert torch.equal(value, expected)


@pytest.mark.usefixtures("as_on_a_gpu")
def test_rounding_is_no_reason_to_distrust(small: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU adds up in another order each time: here, the gradients of replays are a thousandth of themselves off."""
    said, noise, exact = list[str](), torch.Generator().manual_seed(0), torch.autograd.grad

    def rounded(*arguments: Any) -> list[Tensor]:
        return [g * (1 + 1e-3 * torch.randn(g.shape, generator=noise)) for g in exact(*arguments)]

    def rounding(step: Step, given: Tensor, generator: torch.Generator) -> Launch:
        def replay() -> None:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(torch.autograd, "grad", rounded)
                step(given)

        return replay

    monkeypatch.setitem(cuda_graph.RECORDERS, "cpu", rounding)
    engine.fit(CHOSEN, small, say=said.append)
    assert said == []


@needs_gpu
def test_a_recorded_step_is_the_step(small: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses with recorded steps are those of the same steps launched one by one."""
    said = list[str]()
    recorded = engine.fit(parse(FIELDS), small, say=said.append)
    assert said == []
    monkeypatch.delitem(cuda_graph.RECORDERS, "cuda")
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
