"""Questions about a run's history: its keys and samples of it. Also the parts of console lines."""

import json
import operator
import re
import sqlite3
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import chain
from typing import Any

from cachetools import LRUCache

from mnist_sweep.server.store import lines

_CONSOLE = re.compile(r"(?:(ERROR) )?(\d{4}-\d\d-\d\dT[\d:.]+Z?) (.*)", re.DOTALL)
_SAMPLES = 500
_NUMBERS = {int, float}
_KINDS = {int: "number", float: "number", bool: "boolean", str: "string", list: "list", type(None): "nil"}


class Keys:
    """W&B's `historyKeys` of the runs that were asked for last. Only rows that were not read before are read."""

    def __init__(self, runs: int) -> None:
        """Create an empty cache for up to `runs` runs."""
        self._lock = threading.Lock()
        self._kept: LRUCache[int, _Read] = LRUCache(runs)

    def of(self, db: sqlite3.Connection, run_id: int) -> dict[str, Any]:
        """Return each key's types and last value (nested keys with dots), and the last step."""
        with self._lock:  # released before reading: readers of other runs need not wait
            read = self._kept.setdefault(run_id, _Read())
        return read.of(db, run_id)


class _Read:
    """What is known of a run's history up to a line."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._end = 0
        self._mark: tuple[Any, ...] = ()
        """The fingerprint of the lines before `_end`; it differs once they changed."""
        self._last_step = -1
        self._keys: defaultdict[str, _Values] = defaultdict(_Values)

    def of(self, db: sqlite3.Connection, run_id: int) -> dict[str, Any]:
        """Return `historyKeys` of this run."""
        with self._lock:
            if self._mark != lines.fingerprint(db, run_id, lines.HISTORY, self._end):
                self._forget()
            self._read_new(db, run_id)
            keys = {key: values.summary() for key, values in self._keys.items()}
            return {"step": "_step", "lastStep": self._last_step, "sets": [], "keys": keys}

    def _read_new(self, db: sqlite3.Connection, run_id: int) -> None:
        """Read the lines that follow `_end`."""
        start = self._end
        for line, rows in lines.pages_from(db, run_id, lines.HISTORY, start):
            self._end = line + 1
            for key, values, types in _columns("", rows):
                if values:
                    self._keys[key].add(values, types)
            steps = (row.get("_step") for row in rows)
            self._last_step = max([self._last_step, *(step for step in steps if isinstance(step, int))])
        if self._end > start:
            self._mark = lines.fingerprint(db, run_id, lines.HISTORY, self._end)


class _Values:
    """Statistics of the values of one key."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._monotonic = True
        self._last: float | None = None

    def add(self, values: list[Any], types: Counter[type]) -> None:
        """Add the values that follow, in order, and how many there are of each type."""
        for kind, count in types.items():
            if kind is dict:
                self._counts.update(str(value["_type"]) for value in values if isinstance(value, dict))
            else:
                self._counts[_KINDS[kind]] += count
        if not types.keys() <= _NUMBERS:
            values = [value for value in values if type(value) in _NUMBERS]
        if values:
            before = values[0] if self._last is None else self._last
            self._monotonic = self._monotonic and before <= values[0] and all(map(operator.le, values, values[1:]))
            self._last = values[-1]

    def summary(self) -> dict[str, Any]:
        return {
            "typeCounts": [{"type": kind, "count": count} for kind, count in self._counts.items()],
            "monotonic": self._monotonic,
            "previousValue": -1 if self._last is None else self._last,
        }


def _columns(prefix: str, rows: list[dict[str, Any]]) -> Iterator[tuple[str, list[Any], Counter[type]]]:
    """Yield each key of some rows with its values, in order, and how many there are of each type.

    This takes half the processor time of reading the rows one by one.
    """
    for key in dict.fromkeys(chain.from_iterable(rows)):
        values = [row[key] for row in rows if key in row]
        types = Counter(map(type, values))
        if dict in types:
            nested = [value for value in values if isinstance(value, dict) and "_type" not in value]
            yield from _columns(f"{prefix}{key}.", nested)
            values = [value for value in values if not isinstance(value, dict) or "_type" in value]
            types[dict] -= len(nested)
        yield prefix + key, values, +types


def sampled(db: sqlite3.Connection, run_id: int, spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Return rows for one spec: `{"keys": […], "samples": 500, "minStep": …, "maxStep": …}`.

    With keys, only rows that have all of them are returned, with only those keys.
    """
    low, high, number = spec.get("minStep"), spec.get("maxStep"), spec.get("samples")
    if isinstance(low, int) and isinstance(high, int) and number == high - low + 1:
        high += 1  # newer clients include the last step; the number of samples shows it
    wanted = spec.get("keys")
    names = [name for name in wanted if isinstance(name, str)] if isinstance(wanted, list) else []
    found = lines.sampled(
        db,
        run_id,
        lines.HISTORY,
        number if isinstance(number, int) and number > 0 else _SAMPLES,
        min_step=low if isinstance(low, int) else None,
        max_step=high if isinstance(high, int) else None,
        keys=names,
    )
    rows = [json.loads(text) for text in found]
    return [picked for row in rows if (picked := _pick(row, names)) is not None] if names else rows


def _pick(row: dict[str, Any], names: list[str]) -> dict[str, Any] | None:
    picked = {}
    for name in names:
        value: Any = row
        for step in [name] if name in row else name.split("."):
            if not isinstance(value, dict) or step not in value:
                return None
            value = value[step]
        picked[name] = value
    return picked


def console_line(number: int, text: str) -> dict[str, Any]:
    """Split a line of `output.log`, which the client writes as `[ERROR ]time text`, into its parts."""
    match = _CONSOLE.fullmatch(text)
    level, moment, line = match.groups() if match else (None, None, text)
    return {
        "number": number,
        "timestamp": moment,
        "level": "error" if level else "info",
        "label": "",
        "line": line,
    }
