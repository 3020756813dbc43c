"""The ranking and everything else a table of runs shows: columns with a kind, rows of plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mnist_sweep.review.records import (
    RunRecord,
    SweepInfo,
    best_of,
    by_age,
    number,
    ranked,
    reason,
    status,
    value_of,
)

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


def runs_table(records: Sequence[RunRecord], info: SweepInfo) -> Table:
    """All runs: the ranked ones, best first, then the others by age, each with the reason why it is not ranked."""
    order = ranked(records, info)
    place = {record.id: i + 1 for i, record in enumerate(order)}
    others = [record for record in by_age(records) if record.id not in place]
    metric: Kind = "percent" if info.is_fraction else "number"
    searched = [field.name for field in info.fields]
    extra = dict.fromkeys(
        key for record in records for key in record.config if key not in searched and not key.startswith("_")
    )
    reported = dict.fromkeys(
        key
        for record in records
        for key, value in record.summary.items()
        if not key.startswith(("_", "best/", "constraint/")) and number(value) is not None
    )
    fixed = (info.metric, "parameters", "epoch")
    columns = (
        Column("rank", "rank", "count"),
        Column("name", "run", "text"),
        Column("status", "status", "status"),
        Column("value", info.metric, metric),
        Column("best", "best epoch's", metric),
        Column("best_epoch", "at epoch", "count"),
        Column("parameters", "parameters", "count"),
        Column("seconds", "time", "seconds"),
        Column("reason", "why not ranked", "text", shown=any(reason(record, info.metric) for record in others)),
        *(Column(f"config:{name}", name, _kind(name, records)) for name in searched),
        Column("agent", "agent", "text", shown=False),
        Column("created", "started", "time", shown=False),
        *(Column(f"config:{name}", name, _kind(name, records), shown=False) for name in extra),
        *(Column(f"summary:{name}", name, "number", shown=False) for name in reported if name not in fixed),
    )
    return Table(columns, tuple(_row(record, info, place.get(record.id)) for record in (*order, *others)))


def _row(record: RunRecord, info: SweepInfo, rank: int | None) -> dict[str, Any]:
    best, epoch = best_of(record, info)
    row: dict[str, Any] = {
        "id": record.id,
        "name": record.label,
        "url": record.url,
        "rank": rank,
        "status": status(record, info.metric).value,
        "value": value_of(record, info.metric),
        "best": best,
        "best_epoch": epoch,
        "parameters": number(record.summary.get("parameters")),
        "seconds": record.seconds,
        "reason": reason(record, info.metric),
        "agent": record.agent,
        "created": record.created_at.isoformat(timespec="seconds") if record.created_at else None,
    }
    row |= {f"config:{key}": _cell(value) for key, value in record.config.items() if not key.startswith("_")}
    row |= {
        f"summary:{key}": value
        for key in record.summary
        if not key.startswith("_") and (value := number(record.summary[key])) is not None
    }
    return {key: value for key, value in row.items() if value is not None and value != ""}


def _cell(value: Any) -> Any:
    """A value a table can hold: a finite number or a text."""
    if isinstance(value, bool) or value is None:
        return None if value is None else str(value).lower()
    known = number(value)
    return value if known is not None else str(value)


def _kind(name: str, records: Sequence[RunRecord]) -> Kind:
    seen = [record.config[name] for record in records if record.config.get(name) is not None]
    return "number" if seen and all(number(value) is not None for value in seen) else "text"
