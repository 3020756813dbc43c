"""Train one configuration as one W&B run.

As a function for an agent in this process:  wandb.agent(sweep_id, function=train)
As a program for `wandb agent`:              python -m mnist_sweep.train --max_lr=0.1 --dropout=0.03
A tiny one, for a first look:                python -m mnist_sweep.train --epochs=1 --c1=2 --c2=2 --c5=2
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_state_path
from rich.console import Console

from mnist_sweep import flags
from mnist_sweep.cluster import task
from mnist_sweep.config import ConfigError, OverBudgetError, RunConfig, parse
from mnist_sweep.display import TrainingDisplay, percent
from mnist_sweep.errors import INTERRUPTED, UserError
from mnist_sweep.protocol import EXIT_NODE_UNFIT, EXIT_PREEMPTED, EXIT_STOPPED
from mnist_sweep.signals import STOPS, Preempted, Signals, Terminated, will_resume
from mnist_sweep.tracking import Tracker
from mnist_sweep.training import engine, mnist


class FailedRunError(UserError, RuntimeError):
    """A run that could not be trained. The one-line message for people has already been printed."""

    # The client's agent prints the traceback of whatever a run raises. Here it would add nothing to the message.
    __traceback__ = None

    config_error = False
    """Whether the configuration is at fault, rather than this machine."""


class Stopped(Exception):
    """The server asked the run to end. The agent may train the next one."""


run_signals = Signals(STOPS)
"""Signals that stop a run. The run then finishes its upload.

They are deferred while the client works and during a training step, because an exception would break either.
"""


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    feasible: bool
    """False if the configuration is over budget; then nothing was trained."""
    fit: engine.Fit | None = None


def train(overrides: Mapping[str, Any] | None = None, *, console: Console | None = None) -> Outcome:
    """Train the configuration that an agent assigned, updated with `overrides`, and report it to W&B.

    A configuration over budget is recorded as `feasible=false` and not trained. A loss that is not finite ends the run
    as `diverged=true`. Both finish with exit code 0. A run with the id of an interrupted one resumes after its last
    epoch.

    Raises:
        FailedRunError: the configuration is invalid, or the machine fails. The run is marked as failed.
        ServerUnavailable: the server of a sweep stays unavailable.
        Stopped: the server asked the run to end.
        Preempted: a signal ended the run, which resumes later.
        KeyboardInterrupt: a signal ended the run for good.
    """
    console = console or Console()
    run_signals.raise_pending()  # the sweep may have been canceled before this trial began
    with run_signals.deferred(raise_on_exit=False):
        tracker = Tracker(overrides or {}, stop=lambda: run_signals.request(Stopped))
    try:
        run_signals.raise_pending()
        outcome = _train(tracker, console)
    except UserError as error:
        console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        failed = FailedRunError(str(error))
        failed.config_error = isinstance(error, ConfigError)
        _fail(tracker, config_error=failed.config_error)
        raise failed from None
    except (Preempted, Terminated, KeyboardInterrupt) as stop:
        again = will_resume(stop)
        with run_signals.deferred(raise_on_exit=False):  # a second signal changes nothing
            if again:
                tracker.finish(EXIT_PREEMPTED, checkpoint=_checkpoint(tracker))
            else:
                tracker.finish(EXIT_STOPPED)
        raise (Preempted if again else KeyboardInterrupt) from None
    except Stopped:
        tracker.finish(exit_code=1)
        raise
    except BaseException:
        _fail(tracker, config_error=False)
        raise
    kept = tracker.offline_notice
    with run_signals.deferred(raise_on_exit=False):
        tracker.finish()
    if kept:
        console.print(kept, markup=False, highlight=False, soft_wrap=True)
    return outcome


def _fail(tracker: Tracker, *, config_error: bool) -> None:
    """End a run that failed. If this machine may be at fault, let another task of a cluster job retry it."""
    if config_error or task.task() is None:
        tracker.finish(exit_code=1)
    else:
        tracker.finish(EXIT_NODE_UNFIT, checkpoint=_checkpoint(tracker))


def _checkpoint(tracker: Tracker) -> Path:
    return user_state_path("mnist-sweep") / "checkpoints" / tracker.checkpoint_name


def _train(tracker: Tracker, console: Console) -> Outcome:
    def say(line: str) -> None:
        with run_signals.deferred():  # the client captures what is printed
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    try:
        config = engine.resolve(parse(tracker.given), say)
    except OverBudgetError as error:
        tracker.record_over_budget(error)
        say(f"not trained: {error}")
        return Outcome(feasible=False)
    with run_signals.deferred():
        tracker.configure(config)
    mnist.fetch(say)
    split = mnist.selection_split(config.folds, config.deskew)
    checkpoint = _checkpoint(tracker)
    with run_signals.deferred():
        tracker.restore_checkpoint(checkpoint)
    with TrainingDisplay(config, split.evaluate_name, console) as display:
        fit = fit_and_report(
            config,
            split,
            tracker,
            run_signals,
            on_step=display.on_step,
            on_epoch=display.on_epoch,
            checkpoint=checkpoint,
            say=say,
        )
    with run_signals.deferred(raise_on_exit=False):
        checkpoint.unlink(missing_ok=True)
        console.print(_conclusion(config, split, fit), highlight=False)
    return Outcome(feasible=True, fit=fit)


def fit_and_report(
    config: RunConfig,
    split: mnist.Split,
    tracker: Tracker | None,
    signals: Signals,
    *,
    on_step: Callable[[engine.Step], None],
    on_epoch: Callable[[engine.Epoch], None] = lambda epoch: None,
    checkpoint: Path | None = None,
    evaluate_last_only: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> engine.Fit:
    """Train `config` and report every epoch and the result to `tracker`, if there is one.

    A signal ends the training between two steps. An exception inside a step would be lost, because compiled code would
    treat it as its own failure. The returned fit contains its evaluation unless it diverged.
    """

    def report_step(step: engine.Step) -> None:
        on_step(step)
        signals.raise_pending()

    def report_epoch(epoch: engine.Epoch) -> None:
        if tracker is not None:
            tracker.log(epoch, split.evaluate_name)
        on_epoch(epoch)
        signals.raise_pending()

    with signals.deferred():
        fit = engine.fit(
            config,
            split,
            on_step=report_step,
            on_epoch=report_epoch,
            checkpoint=checkpoint,
            evaluate_last_only=evaluate_last_only,
            say=say,
        )
    with signals.deferred(raise_on_exit=False):
        if fit.diverged:
            if tracker is not None:
                tracker.record_divergence(len(fit.history) + 1)
            return fit
        fit.evaluation = fit.evaluation or engine.evaluate(fit.model, split.evaluate, config.precision)
        if tracker is not None:
            tracker.record_result(fit, split, fit.evaluation, config)
    return fit


def _conclusion(config: RunConfig, split: mnist.Split, fit: engine.Fit) -> str:
    if fit.diverged:
        return f"diverged: the loss was not finite in epoch {len(fit.history) + 1}"
    return (
        f"{config.parameters:,} parameters, {split.evaluate_name} accuracy {percent(fit.history[-1].accuracy)} "
        f"(best {percent(fit.best.accuracy)} in epoch {fit.best.epoch})"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program that `wandb agent` starts, and return its exit code."""
    parser = flags.Parser(prog="python -m mnist_sweep.train", description="Train one network and report it to W&B.")
    flags.add(parser)
    return run(flags.given(parser.parse_args(argv)))


def run(overrides: Mapping[str, Any]) -> int:
    """Call `train` and return an exit code: 1 if it failed or the server ended it, 130 for Ctrl-C, 75 if preempted."""
    try:
        with run_signals.handled():
            train(overrides)
    except UserError as error:
        if not isinstance(error, FailedRunError):
            print(f"error: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, Stopped) as stop:
        print("stopped: what was logged so far is kept", file=sys.stderr)
        return 1 if isinstance(stop, Stopped) else INTERRUPTED
    except Preempted:
        print("preempted: the next start with this run's id resumes it", file=sys.stderr)
        return EXIT_PREEMPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
