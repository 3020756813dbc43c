"""A running sweep in the terminal: a live table of its trials, plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, Protocol

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from mnist_sweep.config import RunConfig, parse
from mnist_sweep.connection.waiting import RequestsUnanswered, RetryPolicy
from mnist_sweep.display import percent
from mnist_sweep.metrics import VAL_ACCURACY
from mnist_sweep.review import terminal
from mnist_sweep.review.palette import STATES
from mnist_sweep.review.ranking import Ranking, Trial, short_names
from mnist_sweep.review.records import RunRecord, number
from mnist_sweep.review.status import Status
from mnist_sweep.sweep.remote import Sweep, poll, read
from mnist_sweep.training.mnist import VALIDATION_IMAGES

POLL_SECONDS = 1.0
WIDE, MIDDLING = 116, 80
"""Columns of a terminal from which on everything is shown, and the metric beside the accuracy."""
NAME_WIDTH = 18
"""Columns of a trial's name in less."""
_FRAME = 9
"""Lines of a terminal that are not a trial's: title, headings, rules, caption."""
SAID_EVERY = 5
"""Epochs between two plain lines about a running trial."""


class Workers(Protocol):
    """Whoever works on a sweep that is shown."""

    @property
    def note(self) -> str:
        """One line about them for the view; empty if there is nothing to say."""

    def update(self) -> None:
        """Do what is due: restart what was killed, or ask the scheduler. The view calls this every second."""

    def any_alive(self) -> bool:
        """Return whether any worker runs or waits to run."""


def follow(sweep: Sweep, workers: Workers, count: int | None, console: Console, patience: RetryPolicy) -> Ranking:
    """Show the sweep until its workers are done; returns its runs. Ctrl-C passes through to the caller.

    Raises:
        Away: its server stays away.
    """
    if not console.is_terminal:
        return _follow_plainly(sweep, workers, console, patience)
    with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:

        def show(ranking: Ranking) -> None:
            rows = max(console.height - _FRAME, 1)
            live.update(trial_table(ranking, count, workers.note, width=console.width, rows=rows), refresh=True)

        return _poll_until_done(sweep, workers, show, patience)


def trial_table(
    ranking: Ranking, count: int | None = None, note: str = "", *, width: int = WIDE, rows: int | None = None
) -> Table:
    """One row a trial, newest last: state, size, metric, accuracy so far, progress, time left.

    `count` trials were asked for; `note` is added below. In fewer than WIDE columns the least important go; of more
    trials than `rows` the best, the running and the newest stay.
    """
    wide, beside = width >= WIDE, ranking.info.metric != VAL_ACCURACY
    refused = ranking.count(Status.INFEASIBLE)
    done = len(ranking.trials) - ranking.count(Status.RUNNING) - refused
    caption = f"{done} of {count} trials done" if count else f"{done} trials done"
    if refused:
        caption += f", {refused} over budget (not trained, not counted)"
    caption += f"; {escape(note)}" if note else ""
    title = f"{escape(ranking.info.title)}  {ranking.info.url}"
    table = Table(title=title, caption=caption, title_style="bold")
    shown: dict[str, Callable[[Trial], str | ProgressBar]] = {"trial": lambda trial: escape(names[trial.id])}
    shown["state"] = lambda trial: f"[{STATES[trial.status].terminal}]{trial.status.value}[/]"
    if wide:
        shown["parameters"] = lambda trial: "" if trial.size is None else f"{trial.size:,.0f}"
    if width >= MIDDLING or not beside:
        shown[escape(ranking.info.metric)] = lambda trial: ranking.presentation.show(trial.value)
    if beside:
        shown[VAL_ACCURACY if wide else "accuracy"] = lambda trial: _accuracy(trial.record)
    shown["progress" if wide else "epoch"] = _progress if wide else _epoch
    if wide:
        shown["left"] = lambda trial: _time_left(trial.record) if trial.status is Status.RUNNING else ""
    names = short_names(ranking.trials)
    table.add_column("#", justify="right", no_wrap=True)
    for heading in shown:
        justify: Literal["left", "right"] = "left" if heading in ("trial", "state", "progress") else "right"
        table.add_column(heading, justify=justify, no_wrap=True, max_width=None if wide else NAME_WIDTH)
    for index, trial in _fitting(ranking, rows):
        table.add_row(str(index), *(cell(trial) for cell in shown.values()))
    return table


def _fitting(ranking: Ranking, rows: int | None) -> list[tuple[int, Trial]]:
    """The trials there is room for, with their numbers."""
    best = ranking.best
    order = sorted(
        enumerate(ranking.trials, 1),
        key=lambda pair: (pair[1].status is not Status.RUNNING, best is None or pair[1].id != best.id, -pair[0]),
    )
    return sorted(order[:rows], key=lambda pair: pair[0])


def conclude(sweep: Sweep, console: Console, patience: RetryPolicy) -> None:
    """What the sweep came to, the best configuration as a ready command, and the link. Raises Away."""
    review = patience.retry_until_available(lambda: read(sweep, samples=VALIDATION_IMAGES))
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


def _progress(trial: Trial) -> str | ProgressBar:
    """How far a trial is, or got."""
    epoch, epochs = _epochs(trial.record)
    if trial.status is Status.RUNNING:
        return ProgressBar(total=max(epochs, 1), completed=epoch, width=15)
    return "not trained" if trial.status is Status.INFEASIBLE else f"{epoch:.0f} epochs"


def _epoch(trial: Trial) -> str:
    """The same in fewer letters."""
    epoch, epochs = _epochs(trial.record)
    return f"{epoch:.0f}/{epochs:.0f}" if epochs and trial.status is not Status.INFEASIBLE else ""


def _accuracy(record: RunRecord) -> str:
    return percent(number(record.summary.get(VAL_ACCURACY)))


def _time_left(record: RunRecord) -> str:
    (epoch, epochs), elapsed = _epochs(record), number(record.summary.get("_runtime"))
    if not epoch or not elapsed:
        return ""
    minutes, seconds = divmod(round(elapsed / epoch * (epochs - epoch)), 60)
    return f"{minutes}:{seconds:02}"


def _follow_plainly(sweep: Sweep, workers: Workers, console: Console, patience: RetryPolicy) -> Ranking:
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

    return _poll_until_done(sweep, workers, show, patience)


def _poll_until_done(sweep: Sweep, workers: Workers, show: Callable[[Ranking], None], retry: RetryPolicy) -> Ranking:
    while True:
        workers.update()
        alive = workers.any_alive()  # before the poll, so that the last poll sees everything
        ranking = None
        try:
            ranking = retry.attempt(lambda: poll(sweep))
        except RequestsUnanswered:
            if not alive:
                raise  # as long as workers run, the view only lags behind
        if ranking is not None:
            show(ranking)
            if not alive:
                return ranking
        time.sleep(POLL_SECONDS)
