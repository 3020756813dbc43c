"""The table of runs: columns with a kind, rows of plain values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mnist_sweep.review.fields import field_value
from mnist_sweep.review.palette import run_colour
from mnist_sweep.review.presentation import is_fraction
from mnist_sweep.review.ranking import Ranking, Trial
from mnist_sweep.review.records import RunRecord, SweepField, number, value_text
from mnist_sweep.review.status import CONSTRAINT, Status

Kind = Literal["text", "number", "metric", "percent", "count", "seconds", "status", "time"]
"""How a page writes and sorts a column. `metric` has four significant digits, `number` no trailing zeros."""


@dataclass(frozen=True)
class Column:
    """A column of the table."""

    key: str
    """Where its value is in a row."""
    label: str
    kind: Kind = "number"
    shown: bool = True
    """Whether it is visible at first."""


Cells = list[Any]


@dataclass(frozen=True)
class Table:
    """Each row has the run's id, its page's address, its colour, and a value or None for every column."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the table as plain JSON, with the columns' names once instead of in every row."""
        return {"columns": [asdict(column) for column in self.columns], "rows": self.rows}


def runs_table(ranking: Ranking, metrics: Sequence[str] = ()) -> Table:
    """Return all runs: the ranked ones, best first, then the others by age with the reason why they are not ranked.

    `metrics` are summary keys that are visible at first. A column in which no run has a value is left out.
    """
    trials = [*ranking.ranked, *(trial for trial in ranking.trials if trial.rank is None)]
    columns = _columns(ranking, trials, metrics)
    filled = [(column, cells) for column, cells in columns if not trials or set(cells) - {None, ""}]
    about = [[t.id for t in trials], [t.record.url for t in trials], [run_colour(t.record.number) for t in trials]]
    rows = zip(*about, *(cells for _, cells in filled), strict=True)
    return Table(tuple(column for column, _ in filled), tuple(rows))


def _columns(ranking: Ranking, trials: Sequence[Trial], metrics: Sequence[str]) -> Iterable[tuple[Column, Cells]]:
    info, presentation = ranking.info, ranking.presentation
    records = [trial.record for trial in trials]
    searched = [field.name for field in info.fields]
    yield Column("rank", "rank", "count"), [trial.rank for trial in trials]
    yield Column("name", "run", "text"), [record.label for record in records]
    yield Column("status", "status", "status"), [_status(trial) for trial in trials]
    yield from _metrics(ranking, trials)
    for name in metrics:
        values = [number(record.summary.get(name)) for record in records]
        yield Column(f"summary:{name}", name, "percent" if is_fraction(name, values) else "metric"), list(values)
    yield Column("seconds", "time", "seconds"), [record.seconds for record in records]
    yield Column("reason", "why not ranked" if info.metric else "note", "text"), [trial.reason for trial in trials]
    for field in info.fields:
        yield _searched(field, records)
    yield Column("group", "group", "text", shown=False), [record.group for record in records]
    yield Column("host", "host", "text", shown=False), [record.host for record in records]
    started = [record.created_at and record.created_at.isoformat(timespec="seconds") for record in records]
    yield Column("created", "started", "time", shown=False), started
    for name in _names(record.config for record in records):
        if name not in searched:
            yield _config(name, records, shown=False)
    named = {presentation.size, *metrics}
    if info.metric:
        named |= {info.metric, presentation.proxy_metric, presentation.fraction_metric}
    for name in _names(record.summary for record in records):
        if name not in named and not name.startswith(("best/", CONSTRAINT)):
            numbers = [number(record.summary.get(name)) for record in records]
            yield Column(f"summary:{name}", name, "number", shown=False), list(numbers)


def _metrics(ranking: Ranking, trials: Sequence[Trial]) -> Iterable[tuple[Column, Cells]]:
    """Yield the sweep's metric first, then its proxy, a fraction beside it, and the size."""
    info, presentation = ranking.info, ranking.presentation
    kind: Kind = "percent" if presentation.fraction else "metric"
    differ = any(trial.best is not None and trial.best != trial.value for trial in trials)
    waiting = any(trial.status is Status.RUNNING and trial.value is None for trial in trials)
    if info.metric:
        yield Column("value", info.metric, kind), [trial.value for trial in trials]
        yield Column("best", f"best over {presentation.plural}", kind, shown=differ), [trial.best for trial in trials]
        yield Column("best_at", f"at {presentation.step}", "count", shown=differ), [trial.best_at for trial in trials]
    if (proxy := presentation.proxy_metric) and proxy != presentation.fraction_metric:
        proxy_kind: Kind = "percent" if is_fraction(proxy, (trial.proxy for trial in trials)) else "metric"
        yield Column("proxy", proxy, proxy_kind, shown=waiting), [trial.proxy for trial in trials]
    if presentation.fraction_metric and info.metric:
        yield Column("fraction", presentation.fraction_metric, "percent"), [trial.fraction for trial in trials]
    if presentation.size:
        sizes = [trial.size for trial in trials]
        whole = all(size is None or size.is_integer() for size in sizes)
        size_kind: Kind = "percent" if presentation.size_fraction else "count" if whole else "metric"
        yield Column("size", presentation.size, size_kind), list(sizes)


def _status(trial: Trial) -> str:
    """Return what a run is doing (queued, starting, running, stopping), or how it ended."""
    return trial.record.state if trial.status is Status.RUNNING else trial.status.value


def _names(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the keys in order of appearance, without the client's own."""
    names: dict[str, None] = {}
    for mapping in found:
        names |= dict.fromkeys(mapping)
    return [name for name in names if not name.startswith("_")]


def _searched(field: SweepField, records: Sequence[RunRecord]) -> tuple[Column, Cells]:
    """Return the column of a searched field, in which `null` is a value."""
    column, cells = _config(field.name, records)
    if field.kind != "categorical":
        return column, cells
    return column, [
        field_value(record, field) if cell is None else cell for record, cell in zip(records, cells, strict=True)
    ]


def _config(name: str, records: Sequence[RunRecord], shown: bool = True) -> tuple[Column, Cells]:
    cells = [_cell(record.configured(name)) for record in records]
    kind: Kind = "text" if any(isinstance(cell, str) for cell in cells) else "number"
    return Column(f"config:{name}", name, kind, shown), cells


def _cell(value: Any) -> Any:
    """Return a value that a table can hold: a finite number, text, or None."""
    return value if value is None or number(value) is not None else value_text(value)
