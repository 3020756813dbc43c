"""The ranking and everything else a table of runs shows: columns with a kind, rows of plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mnist_sweep.review.ranking import Ranking, Trial
from mnist_sweep.review.records import number
from mnist_sweep.review.status import CONSTRAINT

Kind = Literal["text", "number", "percent", "count", "seconds", "status", "time"]


@dataclass(frozen=True)
class Column:
    """`key` finds the value in a row; `kind` says how to write and sort it; `shown` whether it starts visible."""

    key: str
    label: str
    kind: Kind = "number"
    shown: bool = True


@dataclass(frozen=True)
class Table:
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Any], ...]

    def as_dict(self) -> dict[str, Any]:
        return {"columns": [asdict(column) for column in self.columns], "rows": [dict(row) for row in self.rows]}


def runs_table(ranking: Ranking) -> Table:
    """All runs: the ranked ones, best first, then the others by age, each with the reason why it is not ranked.

    A column that no run has a value for is left out.
    """
    others = [trial for trial in ranking.trials if trial.rank is None]
    rows = tuple(_row(trial) for trial in (*ranking.ranked, *others))
    held = {key for row in rows for key in row}
    columns = (column for column in _columns(ranking) if column.key in held or not rows)
    return Table(tuple(columns), rows)


def _columns(ranking: Ranking) -> Iterable[Column]:
    info, words = ranking.info, ranking.words
    metric: Kind = "percent" if words.fraction else "number"
    searched = [field.name for field in info.fields]
    configs = dict.fromkeys(key for trial in ranking.trials for key in trial.record.config)
    summaries = dict.fromkeys(key for trial in ranking.trials for key in trial.record.summary)
    differ = any(trial.best is not None and trial.best != trial.value for trial in ranking.trials)
    yield Column("rank", "rank", "count")
    yield Column("name", "run", "text")
    yield Column("status", "status", "status")
    if info.metric:
        yield Column("value", info.metric, metric)
        yield Column("best", f"best over {words.plural}", metric, shown=differ)
        yield Column("best_at", f"at {words.step}", "count", shown=differ)
    if words.size:
        yield Column("size", words.size, "count")
    yield Column("seconds", "time", "seconds")
    yield Column("reason", "why not ranked", "text")
    for name in searched:
        yield Column(f"config:{name}", name, _kind(name, ranking.trials))
    yield Column("group", "group", "text", shown=False)
    yield Column("agent", "agent", "text", shown=False)
    yield Column("created", "started", "time", shown=False)
    for name in configs:
        if name not in searched:
            yield Column(f"config:{name}", name, _kind(name, ranking.trials), shown=False)
    for name in summaries:
        if name not in (info.metric, words.size) and not name.startswith(("best/", CONSTRAINT)):
            yield Column(f"summary:{name}", name, "number", shown=False)


def _row(trial: Trial) -> dict[str, Any]:
    record = trial.record
    row: dict[str, Any] = {
        "id": record.id,
        "name": record.label,
        "url": record.url,
        "rank": trial.rank,
        "status": trial.status.value,
        "value": trial.value,
        "best": trial.best,
        "best_at": trial.best_at,
        "size": trial.size,
        "seconds": record.seconds,
        "reason": trial.reason,
        "group": record.group,
        "agent": record.agent,
        "created": record.created_at.isoformat(timespec="seconds") if record.created_at else None,
    }
    row |= {f"config:{key}": _cell(value) for key, value in record.config.items() if not key.startswith("_")}
    row |= {f"summary:{key}": number(value) for key, value in record.summary.items() if not key.startswith("_")}
    return {key: value for key, value in row.items() if value is not None and value != ""}


def _cell(value: Any) -> Any:
    """A value a table can hold: a finite number or a text."""
    if isinstance(value, bool) or value is None:
        return None if value is None else str(value).lower()
    known = number(value)
    return value if known is not None else str(value)


def _kind(name: str, trials: Sequence[Trial]) -> Kind:
    configs = (trial.record.config for trial in trials)
    seen = [config[name] for config in configs if config.get(name) is not None]
    return "number" if seen and all(number(value) is not None for value in seen) else "text"
