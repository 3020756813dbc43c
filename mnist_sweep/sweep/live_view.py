"""A running sweep in the terminal: a live table of its trials, or plain lines if the output is not a terminal."""

import time
from collections.abc import Callable
from typing import Literal, Protocol

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from mnist_sweep.config import parse_recorded
from mnist_sweep.connection.waiting import RequestsUnanswered, RetryPolicy, ServerUnavailable
from mnist_sweep.display import percent
from mnist_sweep.review import terminal
from mnist_sweep.review.palette import STATES
from mnist_sweep.review.ranking import Ranking, Trial
from mnist_sweep.review.records import RunRecord, number
from mnist_sweep.review.status import Status
from mnist_sweep.sweep.remote import Sweep, poll, read

POLL_SECONDS = 1.0
ACCURACY = "val/accuracy"
"""The table shows it beside the sweep's metric, for every sweep."""
WIDE, MEDIUM = 116, 80
"""Terminal widths in columns. WIDE terminals show every column; below MEDIUM the metric goes and accuracy stays."""
NAME_WIDTH = 18
"""Columns for a trial's name in terminals that are not WIDE."""
_FRAME = 9
"""Lines of the table that are not trials: title, headings, rules, caption."""
STARTING = "agents are loading PyTorch"
"""What happens before there is a trial. On a busy machine it takes half a minute."""
_FIRST_LINE = f"{STARTING[0].upper()}{STARTING[1:]} …"
PREPARING = "trials are loading images and compiling"
"""What happens before the first epoch has ended."""
EPOCHS_BETWEEN_LINES = 5
"""How many epochs lie between two plain lines about a running trial."""


class Workers(Protocol):
    """Whatever trains a sweep that is shown: agents on this machine, or tasks of a cluster."""

    @property
    def note(self) -> str:
        """One line about them below the table; empty if there is nothing to say."""

    def update(self) -> None:
        """Do what is due: restart what was killed, or ask the scheduler. The view calls this every second."""

    def any_alive(self) -> bool:
        """Return whether any worker runs or waits to run."""


def follow(sweep: Sweep, workers: Workers, count: int | None, console: Console, retry: RetryPolicy) -> Ranking:
    """Show the sweep until its workers are done, and return its runs. `count` is the number of trials asked for.

    Raise ServerUnavailable if the server has not answered for too long.
    """
    if not console.is_terminal:
        console.print(_FIRST_LINE, markup=False, highlight=False, soft_wrap=True)
        return _follow_plainly(sweep, workers, console, retry)
    began = time.monotonic()
    with Live(_FIRST_LINE, console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:
        live.refresh()

        def show(ranking: Ranking) -> None:
            rows, seconds = max(console.height - _FRAME, 1), time.monotonic() - began
            note = workers.note or (f"{phase}, {seconds:.0f} s" if (phase := _starting(ranking)) else "")
            live.update(trial_table(ranking, count, note, width=console.width, rows=rows), refresh=True)

        return _poll_until_done(sweep, workers, show, retry)


def conclude(sweep: Sweep, console: Console, retry: RetryPolicy) -> None:
    """Print the sweep's review, the command that retrains the best configuration, and the link.

    Raise ServerUnavailable if the server has not answered for too long.
    """
    try:
        review = retry.retry_until_available(lambda: read(sweep, samples=sweep.held_out_images))
    except ServerUnavailable as error:
        raise ServerUnavailable(f"{error}; to see the ranking later: mnist-sweep report {sweep.path}") from None
    console.print(terminal.summary(review))
    if best := review.ranking.best:
        console.print(f"Retrain the best:  {best_command(best.record)}", highlight=False, soft_wrap=True)
    console.print(f"Review:            {sweep.url}", highlight=False, soft_wrap=True)


def best_command(record: RunRecord) -> str:
    """Return the command line that repeats a run."""
    return parse_recorded(record.config).command()


def trial_table(
    ranking: Ranking, count: int | None = None, note: str = "", *, width: int = WIDE, rows: int | None = None
) -> Table:
    """Return a table with one row per trial, newest last: state, size, metric, accuracy, progress, time left.

    Args:
        ranking: the sweep's runs.
        count: the number of trials asked for.
        note: one line for the caption.
        width: columns of the terminal; the least important columns of the table go if it is narrow.
        rows: the most trials to show; the running ones, the best and the newest stay.
    """
    wide, beside = width >= WIDE, ranking.info.metric != ACCURACY
    title = f"{ranking.info.title}  {ranking.info.url}".rstrip()
    table = Table(
        title=escape(title if len(title) <= width else ranking.info.title),  # the link is printed above
        caption=_caption(ranking, count, note),
        title_style="bold",
    )
    columns: dict[str, Callable[[Trial], str | ProgressBar]] = {
        "trial": lambda trial: escape(trial.label),
        "state": lambda trial: f"[{STATES[trial.status].terminal}]{trial.status.value}[/]",
    }
    if wide:
        columns["parameters"] = lambda trial: "" if trial.size is None else f"{trial.size:,.0f}"
    if width >= MEDIUM or not beside:
        columns[escape(ranking.info.metric)] = lambda trial: ranking.presentation.show(trial.value)
    if beside:
        columns[ACCURACY if wide else "accuracy"] = lambda trial: _accuracy(trial.record)
    columns["progress" if wide else "epoch"] = _progress if wide else _epoch
    if wide:
        columns["time left"] = lambda trial: _time_left(trial.record) if trial.status is Status.RUNNING else ""
    table.add_column("#", justify="right", no_wrap=True)
    for heading in columns:
        justify: Literal["left", "right"] = "left" if heading in ("trial", "state", "progress") else "right"
        table.add_column(heading, justify=justify, no_wrap=True, max_width=None if wide else NAME_WIDTH)
    for index, trial in _rows(ranking, rows):
        table.add_row(str(index), *(cell(trial) for cell in columns.values()))
    return table


def _starting(ranking: Ranking) -> str:
    """Return what agents do before a trial has an epoch; empty afterwards."""
    if not ranking.trials:
        return STARTING
    before = all(trial.status.is_live and not _epochs(trial.record)[0] for trial in ranking.trials)
    return PREPARING if before else ""


def _caption(ranking: Ranking, count: int | None, note: str) -> str:
    over_budget = ranking.count(Status.INFEASIBLE)
    done = len(ranking.trials) - ranking.count(Status.QUEUED, Status.RUNNING) - over_budget
    caption = f"{done} of {count} trials done" if count else f"{done} trials done"
    if over_budget:
        caption += f", {over_budget} over budget (not trained, not counted)"
    return caption + (f"; {escape(note)}" if note else "")


def _rows(ranking: Ranking, limit: int | None) -> list[tuple[int, Trial]]:
    """Return up to `limit` trials with their numbers: running ones first, then the best, then the newest."""
    best = ranking.best
    order = sorted(
        enumerate(ranking.trials, 1),
        key=lambda pair: (not pair[1].status.is_live, best is None or pair[1].id != best.id, -pair[0]),
    )
    return sorted(order[:limit], key=lambda pair: pair[0])


def _epochs(record: RunRecord) -> tuple[float, float]:
    """Return the number of epochs trained, and the number configured."""
    return number(record.summary.get("epoch")) or 0, number(record.config.get("epochs")) or 0


def _progress(trial: Trial) -> str | ProgressBar:
    epoch, epochs = _epochs(trial.record)
    if trial.status is Status.RUNNING:
        return ProgressBar(total=max(epochs, 1), completed=epoch, width=15)
    return "not trained" if trial.status in (Status.INFEASIBLE, Status.QUEUED) else f"{epoch:.0f} epochs"


def _epoch(trial: Trial) -> str:
    """Return the progress in a narrow column: `5/15`."""
    epoch, epochs = _epochs(trial.record)
    return f"{epoch:.0f}/{epochs:.0f}" if epochs and trial.status is not Status.INFEASIBLE else ""


def _accuracy(record: RunRecord) -> str:
    return percent(number(record.summary.get(ACCURACY)))


def _time_left(record: RunRecord) -> str:
    """Return an estimate from the epochs so far: `about 1:40`."""
    (epoch, epochs), elapsed = _epochs(record), number(record.summary.get("_runtime"))
    if not epoch or not elapsed:
        return ""
    minutes, seconds = divmod(round(elapsed / epoch * (epochs - epoch)), 60)
    return f"about {minutes}:{seconds:02}"


def _follow_plainly(sweep: Sweep, workers: Workers, console: Console, retry: RetryPolicy) -> Ranking:
    """Print a line when a trial changes its state, and every few epochs."""
    printed: dict[str, tuple[Status, float]] = {}
    last_note = ""

    def show(ranking: Ranking) -> None:
        nonlocal last_note
        if workers.note != last_note:
            last_note = workers.note
            console.print(last_note, markup=False, highlight=False, soft_wrap=True)
        for trial in ranking.trials:
            status, (epoch, epochs) = trial.status, _epochs(trial.record)
            before = printed.get(trial.id)
            quiet = status is not Status.RUNNING or (before is not None and epoch < before[1] + EPOCHS_BETWEEN_LINES)
            if before is not None and before[0] is status and quiet:
                continue
            printed[trial.id] = (status, epoch)
            parts = [f"{trial.label}: {status.value}"]
            if epoch:
                parts.append(f"epoch {epoch:.0f}/{epochs:.0f}" if epochs else f"epoch {epoch:.0f}")
                parts.append(f"accuracy {_accuracy(trial.record)}")
                if status is Status.RUNNING and (left := _time_left(trial.record)):
                    parts.append(f"{left} left")
            line = ", ".join(parts) + (f" ({trial.reason})" if trial.reason else "")
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    return _poll_until_done(sweep, workers, show, retry)


def _poll_until_done(sweep: Sweep, workers: Workers, show: Callable[[Ranking], None], retry: RetryPolicy) -> Ranking:
    while True:
        workers.update()
        alive = workers.any_alive()  # before the poll, so that the last poll sees everything
        ranking = None
        try:
            ranking = retry.attempt(lambda: poll(sweep))
        except RequestsUnanswered:
            if not alive:
                raise  # while workers run, the view just lags behind
        if ranking is not None:
            show(ranking)
            if not alive:
                return ranking
        time.sleep(POLL_SECONDS)
