"""A sweep in the terminal: the ranking, what mattered, how the best value grew, and the same sentences as elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mnist_sweep.review.findings import findings
from mnist_sweep.review.importance import Importance, importance
from mnist_sweep.review.records import (
    RunRecord,
    Status,
    SweepInfo,
    best_of,
    by_age,
    number,
    ranked,
    reason,
    status,
    value_of,
)
from mnist_sweep.review.words import duration

SPARKS = "▁▂▃▄▅▆▇█"
BAR_CELLS = 28
STYLES = {
    Status.RUNNING: "cyan",
    Status.STOPPED: "bright_black",
    Status.INFEASIBLE: "yellow",
    Status.DIVERGED: "magenta",
    Status.FAILED: "red",
    Status.BASELINE: "blue",
}


def summary(
    info: SweepInfo,
    records: Sequence[RunRecord],
    *,
    baseline: Sequence[RunRecord] = (),
    top: int = 10,
    evaluated_on: int | None = None,
) -> RenderableType:
    """Everything a terminal should show of a sweep, as one rich renderable: `Console().print(summary(...))`."""
    mattered = importance(records, info)
    parts: list[RenderableType] = [_title(info), ranking(info, records, top=top)]
    if marked := _marked(info, records):
        parts.append(marked)
    if growth := best_so_far_line(info, records):
        parts.append(growth)
    if mattered.shares or mattered.warning:
        parts.append(importance_bars(mattered))
    said = findings(records, info, mattered, baseline=baseline, evaluated_on=evaluated_on)
    parts.append(Group(Text("What the runs say", style="bold"), *(_bullet(sentence) for sentence in said)))
    return Group(*(Padding(part, (0, 0, 1, 0)) for part in parts))


def ranking(info: SweepInfo, records: Sequence[RunRecord], *, top: int = 10) -> Table:
    """The best runs with their searched fields; runs that may not be ranked are not in it."""
    runs = ranked(records, info)
    table = Table(title="Ranking", title_justify="left", title_style="bold", caption_justify="left", box=SIMPLE_HEAD)
    table.add_column("", justify="right", style="dim")
    table.add_column("run", overflow="fold")
    columns = (info.metric, "best epoch's", "parameters", "time")
    for name in columns:
        table.add_column(escape(name), justify="right")
    for place, run in enumerate(runs[:top], start=1):
        best, epoch = best_of(run, info)
        count = number(run.summary.get("parameters"))
        table.add_row(
            str(place),
            escape(run.label),
            info.show(value_of(run, info.metric)),
            info.show(best) + (f" @{epoch:g}" if epoch is not None else ""),
            f"{count:,.0f}" if count is not None else "–",
            duration(run.seconds) if run.seconds is not None else "–",
            style="bold" if place == 1 else None,
        )
    if len(runs) > top:
        table.caption = f"… and {len(runs) - top} more"
    return table


def importance_bars(found: Importance) -> RenderableType:
    """One bar a field; the mark is what shuffled results reach, a dim bar does not rise above it."""
    head = Text("What mattered", style="bold").append(f"  (PED-ANOVA, {found.trials} ranked trials)", style="dim")
    rows = Table.grid(padding=(0, 2))
    largest = max([*found.shares.values(), *found.noise.values()], default=1.0) or 1.0
    for name, share in found.shares.items():
        filled = round(BAR_CELLS * share / largest)
        mark = min(round(BAR_CELLS * found.noise[name] / largest), BAR_CELLS - 1)
        cells = ["█" if i < filled else " " for i in range(BAR_CELLS)]
        cells[mark] = "│"
        style = "blue" if found.says_something(name) else "bright_black"
        rows.add_row(Text(name), Text("".join(cells), style=style), Text(f"{share:.0%}", justify="right"))
    parts: list[RenderableType] = [head, rows]
    if found.warning:
        parts.append(Text(found.warning, style="yellow"))
    return Group(*parts)


def best_so_far_line(info: SweepInfo, records: Sequence[RunRecord], width: int = 60) -> Text | None:
    """The best value so far over the trials, as a line of blocks; None with fewer than two ranked runs."""
    good = {run.id for run in ranked(records, info)}
    values = [value for run in by_age(records) if run.id in good and (value := value_of(run, info.metric)) is not None]
    if len(values) < 2:
        return None
    best = values[:1]
    for value in values[1:]:
        best.append(max(best[-1], value, key=lambda v: info.sign * v))
    shown = [best[round(i * (len(best) - 1) / (min(width, len(best)) - 1))] for i in range(min(width, len(best)))]
    spread = abs(shown[-1] - shown[0]) or 1.0
    blocks = "".join(SPARKS[round(7 * abs(value - shown[0]) / spread)] for value in shown)
    text = Text("Best so far  ", style="bold")
    text.append(f"{info.show(best[0])} ", style="dim").append(blocks, style="blue")
    return text.append(f" {info.show(best[-1])}", style="bold").append(
        f"  over {len(values)} ranked trials", style="dim"
    )


def _title(info: SweepInfo) -> Text:
    text = Text(info.title, style="bold")
    text.append(f"  {info.method}, {info.goal} {info.metric}", style="dim")
    return text.append(f"\n{info.url}", style="dim") if info.url else text


def _marked(info: SweepInfo, records: Sequence[RunRecord]) -> RenderableType | None:
    """The runs that are not ranked, one line each, with why."""
    left = [run for run in by_age(records) if status(run, info.metric) is not Status.OK]
    if not left:
        return None
    rows = Table.grid(padding=(0, 2))
    for run in left[:10]:
        kind = status(run, info.metric)
        rows.add_row(Text(kind.value, style=STYLES[kind]), Text(run.label), Text(reason(run, info.metric), style="dim"))
    more = [Text(f"… and {len(left) - 10} more", style="dim")] if len(left) > 10 else []
    return Group(Text("Not ranked", style="bold"), rows, *more)


def _bullet(sentence: str) -> RenderableType:
    row = Table.grid(padding=(0, 1))
    row.add_row(Text("•", style="blue"), Text(sentence))
    return row
