"""A running sweep in the terminal: a live table of its trials, plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from mnist_sweep.agents import Agents, Sweep, poll, read
from mnist_sweep.config import RunConfig, parse
from mnist_sweep.display import percent
from mnist_sweep.review import terminal
from mnist_sweep.review.records import RunRecord, Status, number, ranked, reason, status
from mnist_sweep.training.mnist import VALIDATION_IMAGES

POLL_SECONDS = 1.0
ACCURACY = "val/accuracy"
"""What people read, whatever a sweep's metric is."""
STYLES = {
    Status.OK: "green",
    Status.RUNNING: "cyan",
    Status.STOPPED: "yellow",
    Status.INFEASIBLE: "magenta",
    Status.DIVERGED: "red",
    Status.FAILED: "red",
    Status.BASELINE: "blue",
}


def follow(sweep: Sweep, agents: Agents, count: int | None, console: Console) -> list[RunRecord]:
    """Show the sweep until its agents are done; returns its runs. Ctrl-C passes through to the caller."""
    if not console.is_terminal:
        return _follow_plainly(sweep, agents, console)
    with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:

        def show(records: Sequence[RunRecord]) -> None:
            live.update(trial_table(records, sweep, count), refresh=True)

        return _poll_until_done(sweep, agents, show)


def trial_table(records: Sequence[RunRecord], sweep: Sweep, count: int | None = None) -> Table:
    """One row a trial, newest last: state, parameters, the sweep's metric, accuracy so far, progress, time left."""
    metrics = list(dict.fromkeys((sweep.metric, ACCURACY)))
    done = sum(status(record, sweep.metric) not in (Status.RUNNING, Status.INFEASIBLE) for record in records)
    refused = sum(status(record, sweep.metric) is Status.INFEASIBLE for record in records)
    caption = f"{done} of {count} trials done" if count else f"{done} trials done"
    if refused:
        caption += f", {refused} over budget (not trained, not counted)"
    table = Table(title=f"{sweep.config.get('name', 'sweep')}  {sweep.url}", caption=caption, title_style="bold")
    for heading, justify in (
        ("#", "right"),
        ("trial", "left"),
        ("state", "left"),
        ("parameters", "right"),
        *((metric, "right") for metric in metrics),
        ("progress", "left"),
        ("left", "right"),
    ):
        table.add_column(heading, justify=justify, no_wrap=True, min_width=24 if heading == "trial" else None)  # type: ignore[arg-type]
    for index, record in enumerate(records, 1):
        kind = status(record, sweep.metric)
        epoch, epochs = number(record.summary.get("epoch")) or 0, number(record.config.get("epochs")) or 0
        table.add_row(
            str(index),
            record.label,
            f"[{STYLES[kind]}]{kind.value}[/]",
            f"{int(number(record.summary.get('parameters')) or 0):,}" if record.summary.get("parameters") else "",
            *(_value(record, metric) for metric in metrics),
            ProgressBar(total=max(epochs, 1), completed=epoch, width=15)
            if kind is Status.RUNNING
            else _outcome(kind, epoch),
            _time_left(record, epoch, epochs) if kind is Status.RUNNING else "",
        )
    return table


def conclude(sweep: Sweep, console: Console) -> None:
    """What the sweep came to, the best configuration as a ready command, and the link."""
    info, records = read(sweep)
    console.print(terminal.summary(info, records, evaluated_on=VALIDATION_IMAGES))
    order = ranked(records, info)
    if order:
        console.print(f"Best, again:  {best_command(order[0])}", highlight=False, soft_wrap=True)
    console.print(f"Review:       {sweep.url}", highlight=False, soft_wrap=True)


def best_command(record: RunRecord) -> str:
    """The command line that repeats a run."""
    return parse({k: v for k, v in record.config.items() if k in RunConfig.model_fields}).command()


def _outcome(kind: Status, epoch: float) -> str:
    """How far a trial got, short enough for a table."""
    return "not trained" if kind is Status.INFEASIBLE else f"{epoch:.0f} epochs"


def _value(record: RunRecord, metric: str) -> str:
    value = number(record.summary.get(metric))
    if value is None:
        return "–"
    return percent(value) if "accuracy" in metric else f"{value:.4g}"


def _time_left(record: RunRecord, epoch: float, epochs: float) -> str:
    elapsed = number(record.summary.get("_runtime"))
    if not epoch or not elapsed:
        return ""
    minutes, seconds = divmod(round(elapsed / epoch * (epochs - epoch)), 60)
    return f"{minutes}:{seconds:02}"


def _follow_plainly(sweep: Sweep, agents: Agents, console: Console) -> list[RunRecord]:
    said: dict[str, tuple[Status, float]] = {}

    def show(records: Sequence[RunRecord]) -> None:
        for record in records:
            kind, epoch = status(record, sweep.metric), number(record.summary.get("epoch")) or 0
            before = said.get(record.id)
            if before is not None and before[0] is kind and (kind is not Status.RUNNING or epoch < before[1] + 5):
                continue
            said[record.id] = (kind, epoch)
            words = reason(record, sweep.metric) if kind is not Status.OK else ""
            progress = f"epoch {epoch:.0f}" if epoch else "started"
            line = f"{record.label}: {kind.value}, {progress}, {_value(record, ACCURACY)} {words}"
            console.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True)

    return _poll_until_done(sweep, agents, show)


def _poll_until_done(sweep: Sweep, agents: Agents, show: Callable[[Sequence[RunRecord]], None]) -> list[RunRecord]:
    while True:
        alive = agents.alive  # before the poll, so that the last poll sees everything
        records = poll(sweep)
        show(records)
        if not alive:
            return records
        time.sleep(POLL_SECONDS)
