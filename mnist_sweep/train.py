"""train(): one run, from a configuration to a finished W&B run.

As a function for an agent in this process:  wandb.agent(sweep_id, function=train)
As a program for `wandb agent`:              python -m mnist_sweep.train --max_lr=0.1 --dropout=0.03
A tiny one, for a first look:                python -m mnist_sweep.train --epochs=1 --c1=2 --c2=2 --c5=2
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_state_path
from rich.console import Console

from mnist_sweep import flags
from mnist_sweep.cluster import task
from mnist_sweep.config import ConfigError, OverBudgetError, RunConfig, parse
from mnist_sweep.display import TrainingDisplay, percent
from mnist_sweep.errors import UserError
from mnist_sweep.protocol import EXIT_NODE_UNFIT, EXIT_PREEMPTED, EXIT_STOPPED
from mnist_sweep.signals import STOPS, Preempted, Signals, Terminated, will_resume
from mnist_sweep.tracking import Tracker
from mnist_sweep.training import engine, mnist


class FailedRunError(UserError, RuntimeError):
    """A run that could not be trained; its line for people has been printed."""

    # An agent prints the traceback of what a run raises. There is nothing in this one that the message does not say.
    __traceback__ = None

    config_error = False
    """The configuration is at fault, and not this machine."""


class Stopped(Exception):
    """The server wants the run to end; the next one may follow."""


run_signals = Signals(STOPS)
"""What stops a run, which then finishes its upload. They wait for the client's work and for a step of the training, as
an exception would break those."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    feasible: bool
    """False: over budget, nothing was trained."""
    fit: engine.Fit | None = None


def train(overrides: Mapping[str, Any] | None = None, *, console: Console | None = None) -> Outcome:
    """Train what the agent suggests (or `overrides`, or the defaults) and report to W&B.

    A suggestion over budget is recorded as `feasible=false` and trains nothing; a loss that is not finite ends the run
    as `diverged=true`; both finish with exit code 0. A run with the id of an interrupted one goes on after its last
    epoch.

    Raises:
        FailedRunError: the configuration is wrong in itself, or the machine fails; the run is marked as failed.
        Away: a sweep's server stays away.
    """
    console = console or Console()
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
        with run_signals.deferred(raise_on_exit=False):  # a second one changes nothing
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
    """End a run that failed; where it is one machine of several that may be at fault, for another one to try it."""
    if config_error or task.task() is None:
        tracker.finish(exit_code=1)
    else:
        tracker.finish(EXIT_NODE_UNFIT, checkpoint=_checkpoint(tracker))


def _checkpoint(tracker: Tracker) -> Path:
    return user_state_path("mnist-sweep") / "checkpoints" / tracker.checkpoint_name


def _train(tracker: Tracker, console: Console) -> Outcome:
    def say(line: str) -> None:
        with run_signals.deferred():  # what is printed goes to the client, too
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    try:
        config = engine.resolve(parse(tracker.suggestion), say)
    except OverBudgetError as error:
        tracker.record_over_budget(error)
        say(f"not trained: {error}")
        return Outcome(feasible=False)
    with run_signals.deferred():
        tracker.configure(config)
    mnist.fetch(say)
    split = mnist.selection_split(config.replicate)
    checkpoint = _checkpoint(tracker)
    with run_signals.deferred():
        tracker.restore_checkpoint(checkpoint)
    name = split.evaluate_name
    # An exception within a step would not come through: compiled code takes it for a failure of its own.
    with TrainingDisplay(config, name, console) as display, run_signals.deferred():

        def on_step(step: engine.Step) -> None:
            display.on_step(step)
            run_signals.raise_pending()

        def on_epoch(epoch: engine.Epoch) -> None:
            tracker.log(epoch, name)
            display.on_epoch(epoch)
            run_signals.raise_pending()

        fit = engine.fit(config, split, on_step=on_step, on_epoch=on_epoch, checkpoint=checkpoint, say=say)
    with run_signals.deferred(raise_on_exit=False):
        _conclude(tracker, fit, split, config, console)
        checkpoint.unlink(missing_ok=True)
    return Outcome(feasible=True, fit=fit)


def _conclude(tracker: Tracker, fit: engine.Fit, split: mnist.Split, config: RunConfig, console: Console) -> None:
    if fit.diverged:
        tracker.record_divergence(len(fit.history) + 1)
        console.print(f"diverged: the loss was not finite in epoch {len(fit.history) + 1}", highlight=False)
    else:
        evaluation = fit.evaluation or engine.evaluate(fit.model, split.evaluate, config.precision)
        tracker.record_result(fit, split, evaluation, config)
        last, best = fit.history[-1], fit.best
        console.print(
            f"{config.parameters:,} parameters, {split.evaluate_name} accuracy {percent(last.accuracy)} "
            f"(best {percent(best.accuracy)} in epoch {best.epoch})",
            highlight=False,
        )


def main(argv: Sequence[str] | None = None) -> int:
    """The program `wandb agent` starts; returns the exit code."""
    parser = flags.Parser(prog="python -m mnist_sweep.train", description="Train one network, report to W&B.")
    flags.add(parser)
    return run(flags.given(parser.parse_args(argv)))


def run(overrides: Mapping[str, Any]) -> int:
    """`train`, with its failures as exit codes: 1 invalid or stopped by the server, 130 stopped, 75 preempted."""
    try:
        with run_signals.handled():
            train(overrides)
    except UserError as error:
        if not isinstance(error, FailedRunError):
            print(f"error: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, Stopped) as stop:
        print("stopped: what was logged so far is kept", file=sys.stderr)
        return 1 if isinstance(stop, Stopped) else 130
    except Preempted:
        print("preempted: the next start with this run's id goes on from here", file=sys.stderr)
        return EXIT_PREEMPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
