"""A sweep in the terminal: the ranking, what mattered, how the best value grew, and the same sentences as elsewhere."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mnist_sweep.review.formatting import duration
from mnist_sweep.review.importance import Importance
from mnist_sweep.review.palette import STATES
from mnist_sweep.review.ranking import Ranking
from mnist_sweep.review.records import SweepInfo
from mnist_sweep.review.review import Review

SPARKS = "▁▂▃▄▅▆▇█"
BAR_CELLS = 28


def summary(review: Review, *, top: int = 10) -> RenderableType:
    """Everything a terminal should show of a sweep, as one rich renderable: `Console().print(summary(review))`."""
    ranking, mattered = review.ranking, review.importance
    parts: list[RenderableType] = [_title(ranking.info)]
    if review.sentences:
        parts.append(Group(*map(_bullet, review.sentences)))
    parts.append(ranking_table(ranking, top=top))
    if unranked := _unranked(ranking):
        parts.append(unranked)
    if growth := best_so_far_line(ranking):
        parts.append(growth)
    if mattered.shares or mattered.warning:
        parts.append(importance_bars(mattered))
    said = (_bullet(sentence) for sentence in review.findings)
    parts.append(Group(Text("What the runs say", style="bold"), *said))
    return Group(*(Padding(part, (0, 0, 1, 0)) for part in parts))


def ranking_table(ranking: Ranking, *, top: int = 10) -> Table:
    """The best runs; runs that may not be ranked are not in it."""
    words, shown = ranking.presentation, ranking.ranked[:top]
    several = any(trial.best != trial.value for trial in shown)  # what is logged once, at the end, is its own best
    table = Table(title="Ranking", title_justify="left", title_style="bold", caption_justify="left", box=SIMPLE_HEAD)
    table.add_column("", justify="right", style="dim")
    table.add_column("run", overflow="fold")
    columns = [ranking.info.metric, *(["best"] if several else []), *([words.size] if words.size else []), "time"]
    for name in columns:
        table.add_column(escape(name), justify="right")
    for trial in shown:
        cells = [escape(trial.label), words.show(trial.value)]
        if several:
            cells.append(words.show(trial.best) + (f" @{trial.best_at:g}" if trial.best_at is not None else ""))
        if words.size:
            cells.append(f"{trial.size:,.6g}" if trial.size is not None else "–")
        seconds = trial.record.seconds
        cells.append(duration(seconds) if seconds is not None else "–")
        table.add_row(str(trial.rank), *cells, style="bold" if trial.rank == 1 else None)
    if len(ranking.ranked) > top:
        table.caption = f"… and {len(ranking.ranked) - top} more"
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


def best_so_far_line(ranking: Ranking, width: int = 60) -> Text | None:
    """The best value so far over the trials, as a line of blocks; None with fewer than two ranked runs."""
    best, show = [point.best for point in ranking.progress], ranking.presentation.show
    if len(best) < 2:
        return None
    shown = [best[round(i * (len(best) - 1) / (min(width, len(best)) - 1))] for i in range(min(width, len(best)))]
    spread = abs(shown[-1] - shown[0]) or 1.0
    blocks = "".join(SPARKS[round(7 * abs(value - shown[0]) / spread)] for value in shown)
    text = Text("Best so far  ", style="bold")
    text.append(f"{show(best[0])} ", style="dim").append(blocks, style="blue")
    return text.append(f" {show(best[-1])}", style="bold").append(f"  over {len(best)} ranked trials", style="dim")


def _title(info: SweepInfo) -> Text:
    text = Text(info.title, style="bold")
    text.append(f"  {info.method}, {info.goal} {info.metric}" if info.metric else f"  {info.method}", style="dim")
    return text.append(f"\n{info.url}", style="dim") if info.url else text


def _unranked(ranking: Ranking) -> RenderableType | None:
    """The runs that are not ranked, one line each, with why."""
    left = [trial for trial in ranking.trials if trial.rank is None]
    if not left:
        return None
    rows = Table.grid(padding=(0, 2))
    for trial in left[:10]:
        status = Text(trial.status.value, style=STATES[trial.status].terminal)
        rows.add_row(status, Text(trial.label), Text(trial.reason, style="dim"))
    more = [Text(f"… and {len(left) - 10} more", style="dim")] if len(left) > 10 else []
    return Group(Text("Not ranked", style="bold"), rows, *more)


def _bullet(sentence: str) -> RenderableType:
    row = Table.grid(padding=(0, 1))
    row.add_row(Text("•", style="blue"), Text(sentence))
    return row
