import math
import signal
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mnist_sweep.config import ConfigError, RunConfig, parse
from mnist_sweep.training import augment, engine, model
from mnist_sweep.training.engine import Epoch, Fit, Step
from mnist_sweep.training.mnist import Images, Split

TINY = {"c1": 4, "c2": 4, "squeeze": 4, "c3": 6, "c4": 6, "c5": 8, "head": 8}
EXACT = {"device": "cpu", "precision": "float32", "threads": 1}
QUICK = TINY | EXACT | {"epochs": 2, "batch_size": 100, "max_lr": 0.1}
# Without batch norm, and too wide for its ReLUs to die instead.
DIVERGING = EXACT | {
    "preset": "step1",
    "over_budget": True,
    "max_lr": 5,
    "momentum": 0.99,
    "batch_size": 8,
    "epochs": 3,
}


def config(**values: Any) -> RunConfig:
    return parse(QUICK | values)


def metrics(history: list[Epoch]) -> list[Epoch]:
    """What has to be the same again; speed has not."""
    return [replace(epoch, images_per_second=0.0) for epoch in history]


def weights(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in network.state_dict().values()])


@pytest.fixture(scope="session")
def handful(small: Split) -> Split:
    """500 digits to learn, 200 to judge by: enough where only sameness counts."""
    train = Images(small.train.images[:500], small.train.labels[:500])
    evaluate = Images(small.evaluate.images[:200], small.evaluate.labels[:200])
    return Split(train, evaluate, small.evaluate_name, small.evaluate_index[:200])


@pytest.fixture(scope="session")
def reference(handful: Split) -> Fit:
    """A run with every source of randomness in it: weights, order, augmentation and dropout."""
    return engine.fit(config(epochs=4, dropout=0.1, augment_strength=1), handful)


# --- the same again ---------------------------------------------------------------------------------------------------


def test_same_config_and_seed_give_the_same_metrics_to_the_last_digit(reference: Fit, handful: Split) -> None:
    again = engine.fit(config(epochs=4, dropout=0.1, augment_strength=1), handful)
    assert metrics(again.history) == metrics(reference.history)
    assert torch.equal(weights(again.model), weights(reference.model))


def test_what_happened_before_does_not_matter(reference: Fit, handful: Split) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(99)
        again = engine.fit(config(epochs=4, dropout=0.1, augment_strength=1), handful)
    assert metrics(again.history) == metrics(reference.history)


def test_another_seed_gives_other_metrics(reference: Fit, handful: Split) -> None:
    other = engine.fit(config(epochs=4, dropout=0.1, augment_strength=1, seed=1), handful)
    assert metrics(other.history) != metrics(reference.history)


@pytest.mark.parametrize("change", [{"dropout": 0.0}, {"augment_strength": 0.5}, {"max_lr": 0.09}], ids=str)
def test_every_knob_reaches_the_training(change: dict[str, Any], reference: Fit, handful: Split) -> None:
    values = {"epochs": 4, "dropout": 0.1, "augment_strength": 1} | change
    assert metrics(engine.fit(config(**values), handful).history[:1]) != metrics(reference.history[:1])


def test_the_last_epochs_may_be_without_augmentation(handful: Split) -> None:
    """5 of 15 are 1 of 3, and 15 of 15 are 3 of 3."""
    whole, none = ({"epochs": 3, "dropout": 0.1, "augment_strength": strength} for strength in (1, 0))
    augmented, plain = (engine.fit(config(**values), handful) for values in (whole, none))
    last = engine.fit(config(**whole, no_aug_epochs=5), handful)
    assert metrics(last.history[:2]) == metrics(augmented.history[:2])
    assert last.history[2].train_loss < augmented.history[2].train_loss
    assert metrics(engine.fit(config(**whole, no_aug_epochs=15), handful).history) == metrics(plain.history)


def test_evaluating_after_the_last_epoch_only_changes_no_result(handful: Split) -> None:
    values = {"epochs": 3, "dropout": 0.1, "augment_strength": 1}
    every = engine.fit(config(**values), handful)
    once = engine.fit(config(**values), handful, evaluate_last_only=True)
    assert [epoch.accuracy for epoch in once.history] == [None, None, every.history[2].accuracy]
    assert [epoch.train_loss for epoch in once.history] == [epoch.train_loss for epoch in every.history]
    assert once.best is once.history[2]


def test_precise_statistics_are_those_of_the_images_as_they_are(handful: Split) -> None:
    values = {"epochs": 2, "dropout": 0.1, "augment_strength": 1, "batch_size": 50}
    usual, precise = (engine.fit(config(**values, precise_bn=chosen), handful) for chosen in (False, True))
    assert metrics(precise.history[:1]) == metrics(usual.history[:1])
    assert precise.history[1].train_loss == usual.history[1].train_loss
    assert precise.history[1].loss != usual.history[1].loss
    one, other = usual.model.state_dict(), precise.model.state_dict()
    assert {name for name in one if not torch.equal(one[name], other[name])} == {
        name for name in one if "running" in name or "num_batches" in name
    }
    before = augment.normalise(handful.train.images[::6])
    for layer in precise.model.eval():
        if isinstance(layer, torch.nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert torch.allclose(layer.running_mean, before.mean((0, 2, 3)), atol=1e-3)
            assert layer.momentum == 0.1
        before = layer(before)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("interrupted", [False, True])
def test_global_random_numbers_and_threads_are_left_as_they_were(interrupted: bool, handful: Split) -> None:
    before, inside = torch.get_rng_state(), list[int]()

    def on_epoch(epoch: Epoch) -> None:
        inside.append(torch.get_num_threads())
        if interrupted:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) if interrupted else nullcontext():
        engine.fit(config(epochs=1, threads=1), handful, on_epoch=on_epoch)
    assert inside == [1]
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.get_rng_state(), before)


# --- going on ---------------------------------------------------------------------------------------------------------


def interrupt_after(number: int) -> Callable[[Epoch], None]:
    def on_epoch(epoch: Epoch) -> None:
        if epoch.epoch == number:
            raise KeyboardInterrupt

    return on_epoch


@pytest.mark.parametrize("done", [1, 3, 4])
def test_a_resumed_run_is_the_uninterrupted_one(done: int, reference: Fit, handful: Split, tmp_path: Path) -> None:
    whole, checkpoint = config(epochs=4, dropout=0.1, augment_strength=1), tmp_path / "folder" / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        engine.fit(whole, handful, on_epoch=interrupt_after(done), checkpoint=checkpoint)
    seen: list[Epoch] = []
    resumed = engine.fit(whole, handful, on_epoch=seen.append, checkpoint=checkpoint)
    assert metrics(resumed.history) == metrics(reference.history)
    assert torch.equal(weights(resumed.model), weights(reference.model))
    assert seen == resumed.history


def test_a_checkpoint_that_is_older_than_a_field_is_used(handful: Split, tmp_path: Path) -> None:
    whole, checkpoint = config(epochs=2, lr_schedule="constant", max_lr=0.01), tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        engine.fit(whole, handful, on_epoch=interrupt_after(1), checkpoint=checkpoint)
    state = torch.load(checkpoint)
    del state["config"]["deskew"]
    torch.save(state, checkpoint)
    steps: list[Step] = []
    engine.fit(whole, handful, on_step=steps.append, checkpoint=checkpoint)
    assert {step.epoch for step in steps} == {2}


def test_a_resumed_run_trains_only_what_is_left(handful: Split, tmp_path: Path) -> None:
    whole, checkpoint = config(epochs=2, lr_schedule="constant", max_lr=0.01), tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        engine.fit(whole, handful, on_epoch=interrupt_after(1), checkpoint=checkpoint)
    steps: list[Step] = []
    resumed = engine.fit(whole, handful, on_step=steps.append, checkpoint=checkpoint)
    assert {step.epoch for step in steps} == {2}
    assert metrics(resumed.history) == metrics(engine.fit(whole, handful).history)


def test_a_checkpoint_of_another_config_is_not_used(handful: Split, tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.pt"
    engine.fit(config(seed=1), handful, checkpoint=checkpoint)
    other = engine.fit(config(seed=2), handful, checkpoint=checkpoint)
    assert metrics(other.history) == metrics(engine.fit(config(seed=2), handful).history)


def test_a_checkpoint_changes_nothing_and_leaves_one_file(reference: Fit, handful: Split, tmp_path: Path) -> None:
    kept = engine.fit(config(epochs=4, dropout=0.1, augment_strength=1), handful, checkpoint=tmp_path / "run.pt")
    assert metrics(kept.history) == metrics(reference.history)
    (file,) = tmp_path.iterdir()
    assert (file.name, file.stat().st_mode & 0o777) == ("run.pt", 0o600)


def test_a_checkpoint_that_cannot_be_kept_is_said_once(reference: Fit, handful: Split, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said: list[str] = []
    whole, place = config(epochs=4, dropout=0.1, augment_strength=1), tmp_path / "file"
    fit = engine.fit(whole, handful, checkpoint=place / "run.pt", say=said.append)
    assert metrics(fit.history) == metrics(reference.history)
    assert said == [f"cannot write a checkpoint to {place}: File exists; training continues without one"]


def test_a_checkpoint_on_a_full_disk_leaves_nothing(handful: Split, tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk."""
    import resource

    said: list[str] = []
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        engine.fit(config(epochs=2), handful, checkpoint=tmp_path / "run.pt", say=said.append)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    (line,) = said
    assert line.startswith(f"cannot write a checkpoint to {tmp_path}: ")
    assert list(tmp_path.iterdir()) == []


# --- divergence -------------------------------------------------------------------------------------------------------


def test_divergence_is_flagged_and_stops_the_run(handful: Split) -> None:
    images, labels = handful.train
    few, seen = replace(handful, train=Images(images[:80], labels[:80])), list[Epoch]()
    fit = engine.fit(parse(DIVERGING), few, on_epoch=seen.append)
    assert fit.diverged
    assert len(fit.history) < 3
    assert seen == fit.history
    assert all(math.isfinite(epoch.loss) and math.isfinite(epoch.train_loss) for epoch in fit.history)


def test_a_run_that_learns_is_not_flagged(reference: Fit) -> None:
    assert not reference.diverged
    assert len(reference.history) == 4


# --- optimisation -----------------------------------------------------------------------------------------------------


def test_constant_rate(handful: Split) -> None:
    fit = engine.fit(config(lr_schedule="constant", max_lr=0.02), handful)
    assert [epoch.lr for epoch in fit.history] == [0.02, 0.02]


def test_onecycle_follows_pytorchs_schedule(handful: Split) -> None:
    """The last rate of each epoch: up to max_lr in pct_start of all steps, down to max_lr / div / final_div."""
    chosen = config(epochs=4, max_lr=0.2, pct_start=0.5, div_factor=10, final_div_factor=100)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.2, total_steps=20, pct_start=0.5, div_factor=10, final_div_factor=100
    )
    rates = [optimizer.param_groups[0]["lr"]]
    for _ in range(19):
        optimizer.step()
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    history = engine.fit(chosen, handful).history
    assert [epoch.lr for epoch in history] == pytest.approx(rates[4::5])
    assert history[-1].lr == pytest.approx(0.2 / 10 / 100)
    assert max(epoch.lr for epoch in history) == pytest.approx(0.2, rel=0.05)


def test_label_smoothing_is_in_the_training_loss_only(handful: Split) -> None:
    """One step over all images at a rate of nearly 0: both losses can be computed by hand from the first weights."""
    still = {"epochs": 1, "batch_size": 500, "max_lr": 1e-12, "dropout": 0, "augment_strength": 0}
    fit = engine.fit(config(**still, label_smoothing=0.3), handful)
    network, images, labels = fit.model.train(), *handful.train
    log_p = network(augment.normalise(images)).log_softmax(1)
    smoothed = -(0.7 * log_p[torch.arange(500), labels] + 0.3 * log_p.mean(1)).mean().item()
    assert fit.history[0].train_loss == pytest.approx(smoothed, rel=1e-4)
    plain = engine.fit(config(**still), handful)
    assert plain.history[0].train_loss != pytest.approx(smoothed, rel=1e-4)
    assert plain.history[0].loss == pytest.approx(fit.history[0].loss, rel=1e-6)


def test_weight_decay_shrinks_the_weights(handful: Split) -> None:
    size = {
        decay: sum(p.square().sum().item() for p in engine.fit(config(weight_decay=decay), handful).model.parameters())
        for decay in (0, 0.1)
    }
    assert size[0.1] < 0.9 * size[0]


def test_the_last_batch_may_be_smaller(handful: Split) -> None:
    steps: list[Step] = []
    fit = engine.fit(config(epochs=1, batch_size=150), handful, on_step=steps.append)
    assert len(fit.history) == 1
    assert (steps[-1].epoch, steps[-1].step, steps[-1].steps_per_epoch) == (1, 4, 4)
    assert steps[-1].train_loss == pytest.approx(fit.history[0].train_loss)


def test_a_tiny_network_learns_real_digits(small: Split) -> None:
    fit = engine.fit(config(batch_size=50, max_lr=0.1, dropout=0, augment_strength=0, epochs=3), small)
    assert fit.history[-1].accuracy > 0.6
    assert fit.history[-1].train_accuracy > fit.history[0].train_accuracy
    assert fit.history[-1].loss < fit.history[0].loss
    assert [epoch.epoch for epoch in fit.history] == [1, 2, 3]
    assert all(epoch.images_per_second > 0 for epoch in fit.history)


def test_every_width_may_be_one(handful: Split) -> None:
    ones = dict.fromkeys(TINY, 1)
    fit = engine.fit(config(**ones, batch_size=50, dropout=0, augment_strength=0, epochs=3), handful)
    assert not fit.diverged
    assert fit.history[-1].train_loss < fit.history[0].train_loss


def test_the_best_epoch_is_the_first_with_the_highest_accuracy() -> None:
    def epoch(number: int, accuracy: float) -> Epoch:
        return Epoch(number, 0.1, 0.9, 0.1, accuracy, 0.01, 1_000)

    history = [epoch(1, 0.5), epoch(2, 0.9), epoch(3, 0.9), epoch(4, 0.7)]
    assert Fit(torch.nn.Identity(), history).best.epoch == 2


# --- evaluation -------------------------------------------------------------------------------------------------------


def test_evaluation_is_what_a_hand_computes(reference: Fit, small: Split) -> None:
    outcome = engine.evaluate(reference.model, small.evaluate)
    images, labels = small.evaluate
    with torch.no_grad():
        p = reference.model.eval()(augment.normalise(images)).double().softmax(1)
    assert torch.equal(outcome.predictions, p.argmax(1))
    assert outcome.accuracy == (p.argmax(1) == labels).sum().item() / 500
    assert outcome.loss == pytest.approx(-p[torch.arange(500), labels].log().mean().item(), rel=1e-5)
    assert outcome.confidences.tolist() == pytest.approx(p.max(1).values.tolist(), rel=1e-4)
    assert outcome.predictions.dtype == torch.int64


def test_evaluation_does_not_depend_on_how_many_are_looked_at(reference: Fit, split: Split) -> None:
    whole = engine.evaluate(reference.model, split.evaluate)
    first = engine.evaluate(reference.model, Images(split.evaluate.images[:1_300], split.evaluate.labels[:1_300]))
    assert torch.equal(whole.predictions[:1_300], first.predictions)
    assert whole.accuracy == (whole.predictions == split.evaluate.labels).sum().item() / 5_000


def test_evaluation_has_no_dropout_and_changes_nothing(small: Split) -> None:
    network = model.build(parse(QUICK | {"dropout": 0.5}).network)
    network.train()
    before = weights(network)
    first, second = (engine.evaluate(network, small.evaluate) for _ in range(2))
    assert (first.loss, first.accuracy) == (second.loss, second.accuracy)
    assert torch.equal(weights(network), before)


def test_the_history_says_what_evaluation_says(reference: Fit, handful: Split) -> None:
    outcome = engine.evaluate(reference.model, handful.evaluate)
    assert (outcome.loss, outcome.accuracy) == (reference.history[-1].loss, reference.history[-1].accuracy)


# --- what `auto` means ------------------------------------------------------------------------------------------------


def test_auto_is_resolved_once_and_for_all() -> None:
    resolved = engine.resolve(RunConfig())
    assert resolved.device != "auto"
    assert resolved.precision in ("float32", "bfloat16")
    assert resolved.threads >= 1
    assert engine.resolve(resolved) == resolved


def test_what_was_asked_for_is_kept() -> None:
    asked = parse(EXACT)
    assert engine.resolve(asked) == asked


def test_a_device_that_is_not_there_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^device=cuda:99 is not available on this machine: .*use --device=cpu"):
        engine.resolve(parse({"device": "cuda:99"}))
