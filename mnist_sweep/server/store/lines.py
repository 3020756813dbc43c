"""What a run logs line by line: its history, its system metrics (`events`) and its console output.

Every line has a number; a line sent again replaces the one before (clients resend after a failure, and a terminal
rewrites its last line).
"""

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from mnist_sweep.server import jsonedge
from mnist_sweep.server.store.errors import BadRequest

HISTORY, EVENTS, CONSOLE = "history", "events", "console"
STREAMS = (HISTORY, EVENTS, CONSOLE)
_INTEGER_LIMIT = 2**63


def put(db: sqlite3.Connection, run_id: int, stream: str, offset: int, content: Iterable[str], version: int) -> None:
    """Write lines from number `offset` on.

    Raises:
        BadRequest: a history or system line that is not a JSON object, or an impossible line number.
    """
    rows = []
    for number, text in enumerate(content, start=offset):
        if not 0 <= number < _INTEGER_LIMIT:
            raise BadRequest(f"line number {number} is out of range")
        step = None
        if stream != CONSOLE:
            try:
                data = jsonedge.as_object(text, f"{stream} line {number}")
            except ValueError as error:
                raise BadRequest(str(error)) from None
            step = data.get("_step")
            if not isinstance(step, int) or not -_INTEGER_LIMIT <= step < _INTEGER_LIMIT:
                step = number
            text = jsonedge.dumps(data)
        rows.append((run_id, stream, number, step, version, text))
    db.executemany(
        "INSERT INTO lines (run_id, stream, line, step, version, data) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET step = excluded.step, version = excluded.version, data = excluded.data",
        rows,
    )


def count(db: sqlite3.Connection, run_id: int, stream: str) -> int:
    """One more than the last line's number."""
    last = db.execute("SELECT max(line) FROM lines WHERE run_id = ? AND stream = ?", (run_id, stream)).fetchone()[0]
    return 0 if last is None else int(last) + 1


def texts(
    db: sqlite3.Connection,
    run_id: int,
    stream: str,
    *,
    min_step: int | None = None,
    max_step: int | None = None,
    since: int = 0,
) -> list[str]:
    """The lines in order, as they were written; steps from `min_step` up to but without `max_step`."""
    sql = "SELECT data FROM lines WHERE run_id = ? AND stream = ?"
    values: list[int | str] = [run_id, stream]
    for clause, bound in (("step >= ?", min_step), ("step < ?", max_step), ("version > ?", since or None)):
        if bound is not None:
            sql += f" AND {clause}"
            values.append(max(-_INTEGER_LIMIT, min(bound, _INTEGER_LIMIT - 1)))
    return [row[0] for row in db.execute(sql + " ORDER BY line", values)]


def rows(db: sqlite3.Connection, run_id: int, stream: str, *, since: int = 0) -> list[dict[str, Any]]:
    """The lines in order, parsed."""
    return [json.loads(text) for text in texts(db, run_id, stream, since=since)]


def tail(db: sqlite3.Connection, run_id: int, stream: str, number: int, *, since: int = 0) -> list[sqlite3.Row]:
    """The last lines, in order, or the last of those newer than a change: `line`, `data`."""
    found = db.execute(
        "SELECT line, data FROM lines WHERE run_id = ? AND stream = ? AND version > ? ORDER BY line DESC LIMIT ?",
        (run_id, stream, since, number),
    ).fetchall()
    return found[::-1]


def page(db: sqlite3.Connection, run_id: int, stream: str, after: int, limit: int) -> list[sqlite3.Row]:
    """Up to `limit` lines after number `after`: `line`, `data`."""
    return db.execute(
        "SELECT line, data FROM lines WHERE run_id = ? AND stream = ? AND line > ? ORDER BY line LIMIT ?",
        (run_id, stream, after, limit),
    ).fetchall()


def clear(db: sqlite3.Connection, run_id: int, stream: str, *, start: int = 0, end: int = _INTEGER_LIMIT - 1) -> None:
    """Forget a stream's lines, or those from number `start` up to but without `end`."""
    where = "run_id = ? AND stream = ? AND line >= ? AND line < ?"
    db.execute(f"DELETE FROM lines WHERE {where}", (run_id, stream, start, end))


def move(db: sqlite3.Connection, run_id: int, stream: str, start: int, to: int) -> None:
    """Have the lines from number `start` on begin at `to`; they replace what is there."""
    where = "WHERE run_id = ? AND stream = ? AND line"
    db.execute(f"UPDATE lines SET line = -1 - line {where} >= ?", (run_id, stream, start))
    db.execute(f"UPDATE OR REPLACE lines SET line = ? - 1 - line {where} < 0", (to - start, run_id, stream))


def copy(db: sqlite3.Connection, source: int, target: int, last_step: int) -> int:
    """Append one run's history up to a step to that of another; returns how many rows those are."""
    return db.execute(
        "INSERT INTO lines (run_id, stream, line, step, version, data)"
        " SELECT ?2, stream, ?3 + row_number() OVER (ORDER BY line) - 1, step, version, data FROM lines"
        " WHERE run_id = ?1 AND stream = ?4 AND step <= ?5",
        (source, target, count(db, target, HISTORY), HISTORY, last_step),
    ).rowcount


def sort(db: sqlite3.Connection, run_id: int) -> None:
    """Number a run's history anew, by step."""
    where = "WHERE run_id = ?1 AND stream = ?2"
    db.execute(f"UPDATE lines SET line = -1 - line {where}", (run_id, HISTORY))
    db.execute(
        f"UPDATE lines SET line = place FROM (SELECT line AS old, row_number() OVER (ORDER BY step, line DESC) - 1"
        f" AS place FROM lines {where}) {where} AND line = old",
        (run_id, HISTORY),
    )


def last_step(db: sqlite3.Connection, run_id: int) -> int:
    """The greatest step in a run's history; -1 if it is empty."""
    found = db.execute("SELECT max(step) FROM lines WHERE run_id = ? AND stream = ?", (run_id, HISTORY)).fetchone()[0]
    return -1 if found is None else int(found)


def around(
    db: sqlite3.Connection, run_id: int, step: int, *, below: int
) -> tuple[sqlite3.Row | None, sqlite3.Row | None]:
    """Of the rows below a line number, the last one before a step, and the first one that is not."""
    select = "SELECT line, step, data FROM lines WHERE run_id = ? AND stream = ? AND line < ? AND step"
    values = (run_id, HISTORY, below, step)
    before = db.execute(f"{select} < ? ORDER BY step DESC, line DESC LIMIT 1", values).fetchone()
    return before, db.execute(f"{select} >= ? ORDER BY step, line LIMIT 1", values).fetchone()


def cut(db: sqlite3.Connection, run_id: int, last_step: int) -> None:
    """Forget the history after a step."""
    db.execute("DELETE FROM lines WHERE run_id = ? AND stream = ? AND step > ?", (run_id, HISTORY, last_step))


def sample(found: list[Any], number: int) -> list[Any]:
    """At most so many of them, evenly spread, the first and the last among them."""
    if number < 1 or len(found) <= number:
        return found
    if number == 1:
        return found[-1:]
    return [found[round(i * (len(found) - 1) / (number - 1))] for i in range(number)]
