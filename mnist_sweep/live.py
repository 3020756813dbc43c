"""A running sweep in the terminal: a live table of its trials, plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from mnist_sweep.agents import Sweep, poll, read
from mnist_sweep.config import RunConfig, parse
from mnist_sweep.display import percent
from mnist_sweep.review import terminal
from mnist_sweep.review.palette import STATES
from mnist_sweep.review.ranking import Ranking, Trial
from mnist_sweep.review.records import RunRecord, number
from mnist_sweep.review.status import Status
from mnist_sweep.training.mnist import VALIDATION_IMAGES

POLL_SECONDS = 1.0
ACCURACY = "val/accuracy"
"""What people read, whatever a sweep's metric is."""
SAID_EVERY = 5
"""Epochs between two plain lines about a running trial."""


class Workers(Protocol):
    """Whoever works on a sweep that is shown."""

    note: str
    """What to say about them; nothing where there is nothing."""

    def tend(self) -> bool:
        """Do what has to be done for them now and then; whether any is at work, or will be."""


def follow(sweep: Sweep, workers: Workers, count: int | None, console: Console) -> Ranking:
    """Show the sweep until its workers are done; returns its runs. Ctrl-C passes through to the caller."""
    if not console.is_terminal:
        return _follow_plainly(sweep, workers, console)
    with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:

        def show(ranking: Ranking) -> None:
            live.update(trial_table(ranking, count, workers.note), refresh=True)

        return _poll_until_done(sweep, workers, show)


def trial_table(ranking: Ranking, count: int | None = None, note: str = "") -> Table:
    """One row a trial, newest last: state, parameters, metric, accuracy so far, progress, time left.

    `count` trials were asked for; `note` is added below.
    """
    beside = ranking.info.metric != ACCURACY
    refused = ranking.count(Status.INFEASIBLE)
    done = len(ranking.trials) - ranking.count(Status.RUNNING) - refused
    caption = f"{done} of {count} trials done" if count else f"{done} trials done"
    if refused:
        caption += f", {refused} over budget (not trained, not counted)"
    caption += f"; {escape(note)}" if note else ""
    title = f"{escape(ranking.info.title)}  {ranking.info.url}"
    table = Table(title=title, caption=caption, title_style="bold")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("trial", no_wrap=True, min_width=24)
    table.add_column("state", no_wrap=True)
    for heading in ("parameters", escape(ranking.info.metric), *([ACCURACY] if beside else [])):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("progress", no_wrap=True)
    table.add_column("left", justify="right", no_wrap=True)
    for index, trial in enumerate(ranking.trials, 1):
        epoch, epochs = _epochs(trial.record)
        running = trial.status is Status.RUNNING
        table.add_row(
            str(index),
            escape(trial.label),
            f"[{STATES[trial.status].terminal}]{trial.status.value}[/]",
            "" if trial.size is None else f"{trial.size:,.0f}",
            ranking.words.show(trial.value),
            *([_accuracy(trial.record)] if beside else []),
            ProgressBar(total=max(epochs, 1), completed=epoch, width=15) if running else _outcome(trial, epoch),
            _time_left(trial.record) if running else "",
        )
    return table


def conclude(sweep: Sweep, console: Console) -> None:
    """What the sweep came to, the best configuration as a ready command, and the link."""
    review = read(sweep, samples=VALIDATION_IMAGES)
    console.print(terminal.summary(review))
    if best := review.ranking.best:
        console.print(f"Best, again:  {best_command(best.record)}", highlight=False, soft_wrap=True)
    console.print(f"Review:       {sweep.url}", highlight=False, soft_wrap=True)


def best_command(record: RunRecord) -> str:
    """The command line that repeats a run."""
    return parse({k: v for k, v in record.config.items() if k in RunConfig.model_fields}).command()


def _epochs(record: RunRecord) -> tuple[float, float]:
    """Epochs trained, and asked for."""
    return number(record.summary.get("epoch")) or 0, number(record.config.get("epochs")) or 0


def _outcome(trial: Trial, epoch: float) -> str:
    """How far a trial got, short enough for a table."""
    return "not trained" if trial.status is Status.INFEASIBLE else f"{epoch:.0f} epochs"


def _accuracy(record: RunRecord) -> str:
    return percent(number(record.summary.get(ACCURACY)))


def _time_left(record: RunRecord) -> str:
    (epoch, epochs), elapsed = _epochs(record), number(record.summary.get("_runtime"))
    if not epoch or not elapsed:
        return ""
    minutes, seconds = divmod(round(elapsed / epoch * (epochs - epoch)), 60)
    return f"{minutes}:{seconds:02}"


def _follow_plainly(sweep: Sweep, workers: Workers, console: Console) -> Ranking:
    said: dict[str, tuple[Status, float]] = {}
    noted = ""

    def show(ranking: Ranking) -> None:
        nonlocal noted
        if workers.note != noted:
            noted = workers.note
            console.print(noted, markup=False, highlight=False, soft_wrap=True)
        for trial in ranking.trials:
            kind, (epoch, _) = trial.status, _epochs(trial.record)
            before = said.get(trial.id)
            quiet = kind is not Status.RUNNING or (before is not None and epoch < before[1] + SAID_EVERY)
            if before is not None and before[0] is kind and quiet:
                continue
            said[trial.id] = (kind, epoch)
            progress = f"epoch {epoch:.0f}" if epoch else "started"
            line = f"{trial.label}: {kind.value}, {progress}, {_accuracy(trial.record)} {trial.reason}"
            console.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True)

    return _poll_until_done(sweep, workers, show)


def _poll_until_done(sweep: Sweep, workers: Workers, show: Callable[[Ranking], None]) -> Ranking:
    while True:
        alive = workers.tend()  # before the poll, so that the last poll sees everything
        ranking = poll(sweep)
        show(ranking)
        if not alive:
            return ranking
        time.sleep(POLL_SECONDS)
