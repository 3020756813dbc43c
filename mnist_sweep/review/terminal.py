"""A sweep in the terminal: the ranking, what mattered, how the best value improved, and the findings."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mnist_sweep.review.captions import objectives
from mnist_sweep.review.formatting import duration
from mnist_sweep.review.importance import Importance
from mnist_sweep.review.palette import STATES
from mnist_sweep.review.presentation import is_fraction, show
from mnist_sweep.review.ranking import RankedTrial, Ranking, Trial
from mnist_sweep.review.records import SweepInfo, value_text
from mnist_sweep.review.review import Review

SPARKS = "▁▂▃▄▅▆▇█"
BAR_CELLS = 28


def summary(review: Review, *, top: int = 10) -> RenderableType:
    """Return everything a terminal should show of a sweep: `Console().print(summary(review))`."""
    ranking, importance = review.ranking, review.importance
    parts: list[RenderableType] = [_title(ranking.info)]
    if review.sentences:
        parts.append(Group(*map(_bullet, review.sentences)))
    if ranking.ranked:
        parts.append(RankingTable(ranking, first=tuple(importance.shares), top=top))
    if unranked := _unranked(ranking):
        parts.append(unranked)
    if growth := best_so_far_line(ranking):
        parts.append(growth)
    if importance.shares or importance.warning:
        parts.append(importance_bars(importance))
    sentences = (_bullet(sentence) for sentence in review.findings)
    parts.append(Group(Text("What the runs say", style="bold"), *sentences))
    return Group(*(Padding(part, (0, 0, 1, 0)) for part in parts))


@dataclass(frozen=True)
class Column:
    """A column of the ranking: its name, and its text for a trial."""

    name: str
    cell: Callable[[RankedTrial], str]


@dataclass(frozen=True)
class RankingTable:
    """The best runs with as many of their results, and then of the searched fields, as the terminal is wide."""

    ranking: Ranking
    first: tuple[str, ...] = ()
    """The searched fields to show first."""
    top: int = 10
    """The most runs to show."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = list(_columns(self.ranking, self.first))
        for count in range(len(columns), 0, -1):
            table = self._table(columns[:count])
            if console.measure(table, options=options.update(max_width=1000)).minimum <= options.max_width:
                break
        yield table

    def _table(self, columns: list[Column]) -> Table:
        table = Table(
            title="Ranking", title_justify="left", title_style="bold", caption_justify="left", box=SIMPLE_HEAD
        )
        table.add_column("", justify="right", style="dim")
        table.add_column("run", overflow="fold")
        trials = self.ranking.ranked[: self.top]
        for column in columns:
            width = max(len(column.cell(trial)) for trial in trials)  # holds every cell in one line
            table.add_column(escape(column.name), justify="right", overflow="fold", min_width=width)
        for trial in trials:
            cells = (escape(column.cell(trial)) for column in columns)
            style = "bold" if trial.rank == 1 else None
            table.add_row(str(trial.rank), escape(trial.label), *cells, style=style)
        if len(self.ranking.ranked) > self.top:
            table.caption = f"… and {len(self.ranking.ranked) - self.top} more"
        return table


def _columns(ranking: Ranking, first: tuple[str, ...]) -> Iterable[Column]:
    """Yield the results, then the searched fields with `first` in front."""
    presentation, info = ranking.presentation, ranking.info
    yield Column(info.metric, lambda trial: presentation.show(trial.value))
    if any(
        trial.best not in (None, trial.value) for trial in ranking.ranked
    ):  # a metric that is logged once is its own best
        yield Column("best", lambda trial: _best_text(trial, ranking))
    if presentation.fraction_metric:
        yield Column(presentation.fraction_metric, lambda trial: show(trial.fraction, fraction=True))
    if presentation.size:
        yield Column(presentation.size, lambda trial: presentation.show_size(trial.size))
    yield Column("time", lambda trial: "–" if trial.record.seconds is None else duration(trial.record.seconds))
    names = dict.fromkeys([*first, *(field.name for field in info.fields)])
    for name in names:
        yield Column(name, lambda trial, name=name: _setting(trial, name))  # type: ignore[misc]


def _best_text(trial: RankedTrial, ranking: Ranking) -> str:
    at = "" if trial.best_at is None else f" @{trial.best_at:g}"
    return f"{ranking.presentation.show(trial.best)}{at}"


def _setting(trial: RankedTrial, name: str) -> str:
    value = trial.record.configured(name)
    return "–" if value is None else f"{value:.3g}" if isinstance(value, float) else value_text(value)


def importance_bars(found: Importance) -> RenderableType:
    """Return one bar per field. The mark is what shuffled results reach; a dim bar does not exceed it."""
    head = Text("What mattered", style="bold").append(f"  (PED-ANOVA, {found.trials} ranked trials)", style="dim")
    rows = Table.grid(padding=(0, 2))
    largest = max([*found.shares.values(), *found.noise.values()], default=1.0) or 1.0
    for name, share in found.shares.items():
        filled = round(BAR_CELLS * share / largest)
        mark = min(round(BAR_CELLS * found.noise[name] / largest), BAR_CELLS - 1)
        cells = ["█" if i < filled else " " for i in range(BAR_CELLS)]
        cells[mark] = "│"
        style = "blue" if found.above_noise(name) else "bright_black"
        rows.add_row(Text(name), Text("".join(cells), style=style), Text(f"{100 * share:.0f} %", justify="right"))
    parts: list[RenderableType] = [head, rows]
    if found.warning:
        warning = Text(found.warning, style="yellow", no_wrap=False, overflow="fold")  # soft_wrap would crop it
        parts.append(warning)
    return Group(*parts)


def best_so_far_line(ranking: Ranking, width: int = 60) -> Text | None:
    """Return the best value so far over the trials as a line of blocks, or None with fewer than two ranked runs.

    The blocks are as high as the values: the line of a loss falls.
    """
    best = [point.best for point in ranking.progress]
    if len(best) < 2:
        return None
    sampled = [best[round(i * (len(best) - 1) / (min(width, len(best)) - 1))] for i in range(min(width, len(best)))]
    low, spread = min(sampled), (max(sampled) - min(sampled)) or 1.0
    blocks = "".join(SPARKS[round(7 * (value - low) / spread)] for value in sampled)
    text = Text("Best so far  ", style="bold", no_wrap=False, overflow="fold")
    text.append(f"{ranking.presentation.show(best[0])} ", style="dim").append(blocks, style="blue")
    text.append(f" {ranking.presentation.show(best[-1])}", style="bold")
    return text.append(f"  over {len(best)} ranked trials", style="dim")


def _title(info: SweepInfo) -> Text:
    text = Text(info.title, style="bold")
    text.append("  " + ", ".join(filter(None, (info.method, objectives(info)))), style="dim")
    return text.append(f"\n{info.url}", style="dim") if info.url else text


def _unranked(ranking: Ranking) -> RenderableType | None:
    """Return the runs that are not ranked, one line each with the reason."""
    left = [trial for trial in ranking.trials if trial.rank is None]
    if not left:
        return None
    rows = Table.grid(padding=(0, 2))
    for trial in left[:10]:
        status = Text(trial.status.value, style=STATES[trial.status].terminal)
        rows.add_row(status, Text(trial.label), Text(trial.reason or _so_far(trial, ranking), style="dim"))
    more = [Text(f"… and {len(left) - 10} more", style="dim")] if len(left) > 10 else []
    return Group(Text("Not ranked", style="bold"), rows, *more)


def _so_far(trial: Trial, ranking: Ranking) -> str:
    """Return the results that a running trial has reported."""
    presentation, metric = ranking.presentation, ranking.info.metric
    proxy = presentation.proxy_metric
    found = [] if trial.value is None else [f"{presentation.show(trial.value)} {metric}"]
    if trial.value is None and trial.proxy is not None and proxy != presentation.fraction_metric:
        found.append(f"{show(trial.proxy, fraction=is_fraction(proxy, ()))} {proxy}")
    return ", ".join(filter(None, [*found, ranking.show_fraction(trial)]))


def _bullet(sentence: str) -> RenderableType:
    row = Table.grid(padding=(0, 1))
    row.add_row(Text("•", style="blue"), Text(sentence))
    return row
