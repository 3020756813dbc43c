"""The ranking and everything else a table of runs shows: columns with a kind, rows of plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mnist_sweep.review.palette import run_colour
from mnist_sweep.review.ranking import Ranking, Trial
from mnist_sweep.review.records import RunRecord, number, value_text
from mnist_sweep.review.status import CONSTRAINT

Kind = Literal["text", "number", "percent", "count", "seconds", "status", "time"]


@dataclass(frozen=True)
class Column:
    """`key` finds the value in a row; `kind` says how to write and sort it; `shown` whether it starts visible."""

    key: str
    label: str
    kind: Kind = "number"
    shown: bool = True


Cells = list[Any]


@dataclass(frozen=True)
class Table:
    """Each row has the run's id, its page's address, its colour, and a value or None for every column."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]

    def as_dict(self) -> dict[str, Any]:
        """The table as plain JSON: names once and not in every row, or a wide table's page is half names."""
        return {"columns": [asdict(column) for column in self.columns], "rows": self.rows}


def runs_table(ranking: Ranking) -> Table:
    """All runs: the ranked ones, best first, then the others by age, each with the reason why it is not ranked.

    A column that no run has a value for is left out.
    """
    trials = [*ranking.ranked, *(trial for trial in ranking.trials if trial.rank is None)]
    held = [(column, cells) for column, cells in _columns(ranking, trials) if not trials or set(cells) - {None, ""}]
    about = [[t.id for t in trials], [t.record.url for t in trials], [run_colour(t.id) for t in trials]]
    rows = zip(*about, *(cells for _, cells in held), strict=True)
    return Table(tuple(column for column, _ in held), tuple(rows))


def _columns(ranking: Ranking, trials: Sequence[Trial]) -> Iterable[tuple[Column, Cells]]:
    info, words = ranking.info, ranking.presentation
    records = [trial.record for trial in trials]
    metric: Kind = "percent" if words.fraction else "number"
    searched = [field.name for field in info.fields]
    differ = any(trial.best is not None and trial.best != trial.value for trial in trials)
    yield Column("rank", "rank", "count"), [trial.rank for trial in trials]
    yield Column("name", "run", "text"), [record.label for record in records]
    yield Column("status", "status", "status"), [trial.status.value for trial in trials]
    if info.metric:
        yield Column("value", info.metric, metric), [trial.value for trial in trials]
        yield Column("best", f"best over {words.plural}", metric, shown=differ), [trial.best for trial in trials]
        yield Column("best_at", f"at {words.step}", "count", shown=differ), [trial.best_at for trial in trials]
    if words.size:
        yield Column("size", words.size, "count"), [trial.size for trial in trials]
    yield Column("seconds", "time", "seconds"), [record.seconds for record in records]
    yield Column("reason", "why not ranked", "text"), [trial.reason for trial in trials]
    for name in searched:
        yield _config(name, records)
    yield Column("group", "group", "text", shown=False), [record.group for record in records]
    yield Column("host", "host", "text", shown=False), [record.host for record in records]
    started = [record.created_at and record.created_at.isoformat(timespec="seconds") for record in records]
    yield Column("created", "started", "time", shown=False), started
    for name in _names(record.config for record in records):
        if name not in searched:
            yield _config(name, records, shown=False)
    for name in _names(record.summary for record in records):
        if name not in (info.metric, words.size) and not name.startswith(("best/", CONSTRAINT)):
            numbers = [number(record.summary.get(name)) for record in records]
            yield Column(f"summary:{name}", name, "number", shown=False), list(numbers)


def _names(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """The keys in the order of first sight, without the client's own."""
    names: dict[str, None] = {}
    for mapping in found:
        names |= dict.fromkeys(mapping)
    return [name for name in names if not name.startswith("_")]


def _config(name: str, records: Sequence[RunRecord], shown: bool = True) -> tuple[Column, Cells]:
    cells = [_cell(record.configured(name)) for record in records]
    kind: Kind = "text" if any(isinstance(cell, str) for cell in cells) else "number"
    return Column(f"config:{name}", name, kind, shown), cells


def _cell(value: Any) -> Any:
    """Return a value that a table can hold: a finite number, text, or None."""
    return value if value is None or number(value) is not None else value_text(value)
