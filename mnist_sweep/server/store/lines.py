"""What a run logs line by line: its history, its system metrics (`events`) and its console output.

Each line has a number. A line that is sent again replaces the stored one: clients resend after a failure, and a
terminal rewrites its last line.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from mnist_sweep.server import wire_json
from mnist_sweep.server.errors import BadRequest

HISTORY, EVENTS, CONSOLE = "history", "events", "console"
STREAMS = (HISTORY, EVENTS, CONSOLE)
_INTEGER_LIMIT = 2**63
LAST = _INTEGER_LIMIT - 1
"""The greatest number of a line or a step."""
_PAGE = 200


class Line(NamedTuple):
    """A stored line and its number."""

    line: int
    data: str
    step: int | None = None


def put(db: sqlite3.Connection, run_id: int, stream: str, offset: int, content: Iterable[str], version: int) -> None:
    """Write lines, starting at number `offset`.

    Raises:
        BadRequest: a line of the history or of system metrics is not a JSON object, or a line number is out of range.
    """
    rows = []
    for number, text in enumerate(content, start=offset):
        if not 0 <= number < _INTEGER_LIMIT:
            raise BadRequest(f"line number {number} is out of range")
        step = None
        if stream != CONSOLE:
            data = wire_json.as_object(text, f"{stream} line {number}")
            step = data.get("_step")
            if not isinstance(step, int) or not -_INTEGER_LIMIT <= step < _INTEGER_LIMIT:
                step = number
            text = wire_json.dumps(data)
        rows.append((run_id, stream, number, step, version, text))
    db.executemany(
        "INSERT INTO lines (run_id, stream, line, step, version, data) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET step = excluded.step, version = excluded.version, data = excluded.data",
        rows,
    )


def count(db: sqlite3.Connection, run_id: int, stream: str) -> int:
    """Return one more than the last line's number."""
    last = db.execute("SELECT max(line) FROM lines WHERE run_id = ? AND stream = ?", (run_id, stream)).fetchone()[0]
    return 0 if last is None else int(last) + 1


def _where(
    run_id: int, stream: str, min_step: int | None, max_step: int | None, since: int, keys: Sequence[str]
) -> tuple[str, list[int | str]]:
    sql = "run_id = ? AND stream = ?"
    values: list[int | str] = [run_id, stream]
    for clause, bound in (("step >= ?", min_step), ("step < ?", max_step), ("version > ?", since or None)):
        if bound is not None:
            sql += f" AND {clause}"
            values.append(max(-_INTEGER_LIMIT, min(bound, LAST)))
    for key in keys:
        if '"' in key:  # SQLite's own paths cannot hold it
            sql += " AND coalesce(json_value(data, ?), json_value(data, ?)) IS NOT NULL"
            values += [json.dumps([key]), json.dumps(key.split("."))]
            continue
        paths = ["$." + json.dumps(key), "$" + "".join(f".{json.dumps(step)}" for step in key.split("."))]
        sql += " AND (json_type(data, ?) IS NOT NULL OR coalesce(json_type(data, ?), 'null') != 'null')"
        values += paths
    return sql, values


def texts(
    db: sqlite3.Connection,
    run_id: int,
    stream: str,
    *,
    min_step: int | None = None,
    max_step: int | None = None,
    limit: int = -1,
) -> list[str]:
    """Return lines in order, as they were written. Their steps are at least `min_step` and below `max_step`."""
    where, values = _where(run_id, stream, min_step, max_step, 0, ())
    found = db.execute(f"SELECT data FROM lines WHERE {where} ORDER BY line LIMIT ?", (*values, limit))
    return [row[0] for row in found]


def sampled(
    db: sqlite3.Connection,
    run_id: int,
    stream: str,
    number: int,
    *,
    min_step: int | None = None,
    max_step: int | None = None,
    since: int = 0,
    keys: Sequence[str] = (),
) -> list[str]:
    """Return up to `number` lines, evenly spread over their numbers; the first and the last are among them.

    The database chooses them, so that only these lines are read into memory.

    Args:
        min_step, max_step: limits of the steps; the lower one is included, the upper one is not.
        since: only lines that changed after this change.
        keys: only rows that have all of these keys; a dot in a key may be a step into an object.
    """
    where, values = _where(run_id, stream, min_step, max_step, since, keys)
    total, low, high = db.execute(f"SELECT count(*), min(line), max(line) FROM lines WHERE {where}", values).fetchone()
    if total <= number:
        found = db.execute(f"SELECT data FROM lines WHERE {where} ORDER BY line", values)
    else:
        places = [low + round(i * (high - low) / (number - 1)) for i in range(number)] if number > 1 else [high]
        following = f"SELECT line FROM lines WHERE {where} AND line >= place.value ORDER BY line LIMIT 1"
        found = db.execute(
            f"WITH chosen AS MATERIALIZED (SELECT DISTINCT ({following}) AS line FROM json_each(?) AS place)"
            " SELECT data FROM chosen CROSS JOIN lines USING (line) WHERE run_id = ? AND stream = ? ORDER BY line",
            (*values, json.dumps(places), run_id, stream),
        )
    return [row[0] for row in found]


def rows(db: sqlite3.Connection, run_id: int, stream: str) -> Iterator[dict[str, Any]]:
    """Yield the lines in order, parsed."""
    return (row for _, page in pages_from(db, run_id, stream, 0) for row in page)


def pages_from(
    db: sqlite3.Connection, run_id: int, stream: str, start: int
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Yield pages of parsed lines in order, from number `start` on, each with the number of its last line."""
    sql = "SELECT line, data FROM lines WHERE run_id = ? AND stream = ? AND line >= ? ORDER BY line"
    found = db.execute(sql, (run_id, stream, start))
    while page := found.fetchmany(_PAGE):
        numbers, texts = zip(*page, strict=True)
        yield numbers[-1], wire_json.stored(f"[{','.join(texts)}]")


def fingerprint(db: sqlite3.Connection, run_id: int, stream: str, end: int) -> tuple[Any, ...]:
    """Return a value that changes if the lines before number `end` change, or their order."""
    sql = "SELECT count(*), max(version), total(line * step) FROM lines WHERE run_id = ? AND stream = ? AND line < ?"
    return tuple(db.execute(sql, (run_id, stream, end)).fetchone())


def _select(db: sqlite3.Connection, run_id: int, stream: str, rest: str, *values: int) -> list[Line]:
    """Return the lines of a stream that the rest of the statement selects and orders: `"line > ? ORDER BY line"`."""
    sql = f"SELECT line, data FROM lines WHERE run_id = ? AND stream = ? AND {rest}"
    return [Line(*row) for row in db.execute(sql, (run_id, stream, *values))]


def with_objects(db: sqlite3.Connection, run_id: int, stream: str, *, since: int = 0) -> list[Line]:
    """Return the lines that hold a value of a client's type, such as an image."""
    return _select(db, run_id, stream, "version > ? AND instr(data, '\"_type\"') ORDER BY line", since)


def texts_at(db: sqlite3.Connection, run_id: int, stream: str, line: int) -> list[str]:
    """Return the line with that number in a list, which is empty if there is none."""
    return [found.data for found in _select(db, run_id, stream, "line = ?", line)]


def tail(db: sqlite3.Connection, run_id: int, stream: str, number: int, *, since: int = 0) -> list[Line]:
    """Return the last lines that changed after `since`, in order."""
    return _select(db, run_id, stream, "version > ? ORDER BY line DESC LIMIT ?", since, number)[::-1]


def page(db: sqlite3.Connection, run_id: int, stream: str, after: int, limit: int) -> list[Line]:
    """Return up to `limit` lines after number `after`."""
    return _select(db, run_id, stream, "line > ? ORDER BY line LIMIT ?", after, limit)


def clear(db: sqlite3.Connection, run_id: int, stream: str, *, start: int = 0, end: int = LAST) -> None:
    """Remove a stream's lines from number `start` up to, but without, `end`."""
    where = "run_id = ? AND stream = ? AND line >= ? AND line < ?"
    db.execute(f"DELETE FROM lines WHERE {where}", (run_id, stream, start, end))


def move(db: sqlite3.Connection, run_id: int, stream: str, start: int, to: int) -> None:
    """Renumber the lines from number `start` on to begin at `to`. They replace lines with these numbers."""
    where = "WHERE run_id = ? AND stream = ? AND line"
    db.execute(f"UPDATE lines SET line = -1 - line {where} >= ?", (run_id, stream, start))
    db.execute(f"UPDATE OR REPLACE lines SET line = ? - 1 - line {where} < 0", (to - start, run_id, stream))


def copy(db: sqlite3.Connection, source: int, target: int, last_step: int) -> int:
    """Append another run's rows up to a step to a history, without steps that it has; return their number."""
    return db.execute(
        "INSERT INTO lines (run_id, stream, line, step, version, data)"
        " SELECT ?2, stream, ?3 + row_number() OVER (ORDER BY line) - 1, step, version, data FROM lines"
        " WHERE run_id = ?1 AND stream = ?4 AND step <= ?5"
        " AND step NOT IN (SELECT step FROM lines WHERE run_id = ?2 AND stream = ?4)",
        (source, target, count(db, target, HISTORY), HISTORY, last_step),
    ).rowcount


def sort(db: sqlite3.Connection, run_id: int) -> None:
    """Renumber a run's history by step."""
    where = "WHERE run_id = ?1 AND stream = ?2"
    db.execute(f"UPDATE lines SET line = -1 - line {where}", (run_id, HISTORY))
    db.execute(
        f"UPDATE lines SET line = place FROM (SELECT line AS old, row_number() OVER (ORDER BY step, line DESC) - 1"
        f" AS place FROM lines {where}) {where} AND line = old",
        (run_id, HISTORY),
    )


def last_step(db: sqlite3.Connection, run_id: int) -> int:
    """Return the greatest step in a run's history; -1 if it is empty."""
    found = db.execute("SELECT max(step) FROM lines WHERE run_id = ? AND stream = ?", (run_id, HISTORY)).fetchone()[0]
    return -1 if found is None else int(found)


def around(db: sqlite3.Connection, run_id: int, step: int, *, below: int) -> tuple[Line | None, Line | None]:
    """Return the last row before a step and the first other one, among the rows below a line number."""
    select = "SELECT line, data, step FROM lines WHERE run_id = ? AND stream = ? AND line < ? AND step"
    values = (run_id, HISTORY, below, step)
    before = db.execute(f"{select} < ? ORDER BY step DESC, line DESC LIMIT 1", values).fetchone()
    after = db.execute(f"{select} >= ? ORDER BY step, line LIMIT 1", values).fetchone()
    return Line(*before) if before else None, Line(*after) if after else None


def cut(db: sqlite3.Connection, run_id: int, last_step: int) -> None:
    """Remove the history after a step."""
    db.execute("DELETE FROM lines WHERE run_id = ? AND stream = ? AND step > ?", (run_id, HISTORY, last_step))
