"""Train and evaluate a network: fit() and evaluate()."""

from __future__ import annotations

import contextlib
import math
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from mnist_sweep.config import ConfigError, RunConfig, parse_recorded
from mnist_sweep.errors import first_line
from mnist_sweep.training import augment, devices, model, optimizer
from mnist_sweep.training.fast import cuda_graph, fused, malloc
from mnist_sweep.training.mnist import Images, Split

EVALUATION_BATCH = {"cpu": 128, "cuda": 5_000, "mps": 1_000}
"""Images per evaluation batch, by device type. On a CPU a batch fits the caches."""


@dataclass(frozen=True)
class Epoch:
    """Results of one epoch. Losses are mean cross-entropies in nats, accuracies are fractions."""

    epoch: int
    """1 … epochs."""
    train_loss: float
    train_accuracy: float
    """On the augmented images, with dropout, averaged over the epoch while the weights changed."""
    loss: float | None
    """On the evaluation images; None if this epoch was not evaluated."""
    accuracy: float | None
    lr: float
    """Learning rate of the epoch's last step."""
    images_per_second: float
    """Training images per second, evaluation not counted."""


@dataclass(frozen=True)
class Evaluation:
    """Results of a network on N images."""

    loss: float
    accuracy: float
    predictions: torch.Tensor
    """int64, N."""
    confidences: torch.Tensor
    """float32, N: probability of the prediction."""
    logits: torch.Tensor
    """float32, N x 10."""


@dataclass
class Fit:
    """A training, complete or interrupted by divergence."""

    model: nn.Module
    history: list[Epoch] = field(default_factory=list)
    diverged: bool = False
    """The loss was not finite; training stopped there."""
    evaluation: Evaluation | None = None
    """Evaluation after the last epoch; None if a checkpoint already contained that epoch."""

    @property
    def best(self) -> Epoch:
        """The first epoch with the highest accuracy on the evaluation images."""
        return max(self.history, key=lambda epoch: epoch.accuracy or 0.0)


@dataclass(frozen=True)
class Step:
    """Progress inside an epoch, reported a few times a second."""

    epoch: int
    step: int
    steps_per_epoch: int
    train_loss: float
    """Mean over the epoch so far."""


def resolve(config: RunConfig, say: Callable[[str], None] = lambda line: None) -> RunConfig:
    """Return `config` with `auto` replaced by this machine's device, precision and threads, which metrics depend on.

    `say` receives one line if a GPU cannot be used.

    Raises:
        ConfigError: the machine does not have the device or the precision.
    """
    chosen = devices.choose(config.device, say)
    return config.model_copy(
        update={
            "device": str(chosen),
            "precision": devices.precision(config.precision, chosen),
            "threads": config.threads or torch.get_num_threads(),
        }
    )


def fit(
    config: RunConfig,
    split: Split,
    *,
    on_step: Callable[[Step], None] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    checkpoint: Path | None = None,
    evaluate_last_only: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Fit:
    """Train `config`'s network on `split.train`, and evaluate it on `split.evaluate` after every epoch.

    The same config, split, device and thread count give the same metrics, to the last digit on CPU.

    Args:
        on_step: called about every fifty steps on CPU and once an epoch on a GPU (each call waits for the device).
        on_epoch: called after each epoch.
        checkpoint: a file written after each epoch. If it already holds epochs of this config, `on_epoch` is called
            for those, training resumes after them, and the metrics are those of an uninterrupted run.
        evaluate_last_only: evaluate after the last epoch only. The result is the same.
        say: receives one line about what a device cannot do, if training continues without it.

    Raises:
        ConfigError: the machine does not have the device or the precision.
        DeviceError: the device fails.
    """
    config = resolve(config, say)
    device = torch.device(config.device)
    with devices.explained(device), _threads(config.threads), _current(device), _seeded(config.seed, device):
        return _Trainer(config, split.to(device), device, say, evaluate_last_only).run(on_step, on_epoch, checkpoint)


@torch.no_grad()
def evaluate(network: nn.Module, images: Images, precision: str = "float32") -> Evaluation:
    """Return loss, accuracy and predictions of `network` on `images`, computed on its device. Raises DeviceError."""
    device = next(network.parameters()).device
    with devices.explained(device):
        images = images.to(device)
        fast = _fast(network.eval(), device).eval()
        batches = images.images.split(EVALUATION_BATCH[device.type])
        together = torch.cat([_logits(fast, augment.normalise(batch), precision) for batch in batches])
        confidences, predictions = together.softmax(1).max(1)
        return Evaluation(
            F.cross_entropy(together, images.labels).item(),
            (predictions == images.labels).double().mean().item(),
            predictions.cpu(),
            confidences.cpu(),
            together.cpu(),
        )


class _Trainer:
    """State of one training run."""

    def __init__(
        self,
        config: RunConfig,
        split: Split,
        device: torch.device,
        say: Callable[[str], None],
        evaluate_last_only: bool,
    ) -> None:
        self.config, self.split, self.device, self.say = config, split, device, say
        self.evaluate_last_only = evaluate_last_only
        self.unsaved = False
        self.generator = torch.Generator(device).manual_seed(config.seed)
        self.network = model.build(config.network).to(device)
        self.steps_per_epoch = math.ceil(len(split.train.labels) / config.batch_size)
        self.rates = optimizer.rates(config, config.epochs * self.steps_per_epoch)
        self.optimizer = optimizer.SGD(
            self.network,
            self.rates,
            weight_decay=config.weight_decay,
            nesterov=config.nesterov,
            decay_norm=config.decay_norm,
        )
        self.affine = augment.Affine(config.rotate, config.shear, config.shift, config.zoom)
        self.fast = _fast(self.network, device)
        self.loss_sum = torch.zeros((), device=device)
        self.correct = torch.zeros((), dtype=torch.int64, device=device)
        self.step = self._recorded(self._augmented_step)
        self.plain_step = self._recorded(self._plain_step)
        # Each report waits for a GPU, which costs time; on a CPU there is nothing to wait for.
        self.report_every = 50 if device.type == "cpu" else self.steps_per_epoch

    def _recorded(self, step: cuda_graph.Step) -> cuda_graph.Step:
        """Record the step as a CUDA graph on a GPU, where it is some hundred kernels of a few microseconds each."""
        recorder = cuda_graph.RECORDERS.get(self.device.type)
        if recorder is None:
            return step
        changed = [self.optimizer.weights, *self.network.buffers(), *self.optimizer.state, self.loss_sum, self.correct]
        state = cuda_graph.State(changed, self.generator, _default_generator(self.device))
        return cuda_graph.Recorded(step, state, recorder, self.say)

    def run(
        self,
        on_step: Callable[[Step], None] | None,
        on_epoch: Callable[[Epoch], None] | None,
        checkpoint: Path | None,
    ) -> Fit:
        fit = Fit(self.network, self._resume(checkpoint))
        if on_epoch is not None:
            for past in fit.history:
                on_epoch(past)
        for number in range(len(fit.history) + 1, self.config.epochs + 1):
            outcome = self._epoch(number, on_step)
            if outcome is None:
                fit.diverged = True
                break
            epoch, fit.evaluation = outcome
            fit.history.append(epoch)
            if checkpoint is not None:
                self._save(checkpoint, fit.history)
            if on_epoch is not None:
                on_epoch(epoch)
        return fit

    def _epoch(self, number: int, on_step: Callable[[Step], None] | None) -> tuple[Epoch, Evaluation | None] | None:
        """Make one pass over the training images and evaluate. Return None if the loss is not finite."""
        size = len(self.split.train.labels)
        self.fast.train()
        started = time.perf_counter()
        self.loss_sum.zero_()
        self.correct.zero_()
        seen = 0
        run = self.step if number <= self.config.epochs - self.config.plain_epochs else self.plain_step
        order = torch.randperm(size, generator=self.generator, device=self.device)
        for step, index in enumerate(order.split(self.config.batch_size), 1):
            run(index)
            seen += len(index)
            if step % self.report_every == 0 or step == self.steps_per_epoch:
                mean = self.loss_sum.item() / seen
                if not (math.isfinite(mean) and self.optimizer.weights.isfinite().all()):
                    return None
                if on_step is not None:
                    on_step(Step(number, step, self.steps_per_epoch, mean))
        elapsed = time.perf_counter() - started
        if self.config.precise_bn and number == self.config.epochs:
            some = self.split.train.images[::6]  # 10,000 images estimate them as well as all, in a sixth of the time
            batches = some.split(EVALUATION_BATCH[self.device.type])
            model.estimate_statistics(self.network, (augment.normalise(batch) for batch in batches))
        outcome = None
        if number == self.config.epochs or not self.evaluate_last_only:
            outcome = evaluate(self.network, self.split.evaluate, self.config.precision)
            if not math.isfinite(outcome.loss):
                return None
        epoch = Epoch(
            number,
            self.loss_sum.item() / seen,
            self.correct.item() / seen,
            None if outcome is None else outcome.loss,
            None if outcome is None else outcome.accuracy,
            self.rates[number * self.steps_per_epoch - 1][0],
            seen / elapsed,
        )
        return epoch, outcome

    # A step works on the training images at `index` (int64, on the device) and never waits for the device.

    def _augmented_step(self, index: torch.Tensor) -> None:
        images = self.split.train.images.index_select(0, index)
        self._learn(augment.augment(images, self.config.augment_strength, self.generator, self.affine), index)

    def _plain_step(self, index: torch.Tensor) -> None:
        self._learn(augment.normalise(self.split.train.images.index_select(0, index)), index)

    def _learn(self, batch: torch.Tensor, index: torch.Tensor) -> None:
        config, target = self.config, self.split.train.labels.index_select(0, index)
        logits = _logits(self.fast, batch, config.precision)
        loss = F.cross_entropy(logits, target, label_smoothing=config.label_smoothing)
        self.optimizer.step(loss)
        with torch.no_grad():
            self.loss_sum += loss * len(index)
            self.correct += (logits.argmax(1) == target).sum()

    def _save(self, path: Path, history: list[Epoch]) -> None:
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state,
            "config": self.config.model_dump(),
            "history": [asdict(epoch) for epoch in history],
            "generator": self.generator.get_state(),
            "global_rng": _default_generator(self.device).get_state(),
        }
        part = path.with_suffix(
            f".{secrets.token_hex(4)}.part"
        )  # on a shared disk another node may write at the same time
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part.touch(mode=0o600)
            torch.save(state, part)
            part.replace(path)
        except (OSError, RuntimeError) as error:  # PyTorch's writer raises RuntimeError
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            if not self.unsaved:
                reason = getattr(error, "strerror", None) or first_line(error)
                self.say(f"cannot write a checkpoint to {path.parent}: {reason}; training continues without one")
            self.unsaved = True

    def _resume(self, path: Path | None) -> list[Epoch]:
        if path is None or not path.exists():
            return []
        state = torch.load(path, map_location=self.device, weights_only=True)
        try:
            if parse_recorded(state["config"]) != self.config:
                return []
        except ConfigError:  # of a version whose fields have other values
            return []
        self.network.load_state_dict(state["network"])
        for tensor, saved in zip(self.optimizer.state, state["optimizer"], strict=True):
            tensor.copy_(saved)
        self.generator.set_state(state["generator"].cpu())
        _default_generator(self.device).set_state(state["global_rng"].cpu())
        return [Epoch(**epoch) for epoch in state["history"]]


def _fast(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the module that computes `network` on `device`: on a CPU a fused network if it is narrow, else itself."""
    if device.type != "cpu" or not isinstance(network, nn.Sequential) or not fused.is_worth_it(network):
        return network
    malloc.keep_freed()
    return fused.FusedNetwork(network)


def _logits(network: nn.Module, images: torch.Tensor, precision: str) -> torch.Tensor:
    """Return float32 logits of normalised images, computed in `precision`."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        logits: torch.Tensor = network(images)
    return logits.float()


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _current(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Make `device` the current GPU, which CUDA graphs use."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


@contextlib.contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators (weights, dropout) inside the block, and restore them on exit."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def _default_generator(device: torch.device) -> torch.Generator:
    """Return the generator that dropout uses on `device`."""
    if device.type != "cuda":
        return torch.default_generator
    return torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]
