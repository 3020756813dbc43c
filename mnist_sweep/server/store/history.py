"""What readers ask of a run's history: which keys it has, samples of it, and console lines taken apart."""

import json
import re
import sqlite3
import threading
from typing import Any

from cachetools import LRUCache

from mnist_sweep.server.store import lines

_CONSOLE = re.compile(r"(?:(ERROR) )?(\d{4}-\d\d-\d\dT[\d:.]+Z?) (.*)", re.DOTALL)
_SAMPLES = 500


class Keys:
    """W&B's `historyKeys` of the runs asked for last; of a run that has logged on, only what is new is read."""

    def __init__(self, runs: int) -> None:
        """`runs`: of how many runs what was read is kept."""
        self._lock = threading.Lock()
        self._kept: LRUCache[int, _Read] = LRUCache(runs)

    def of(self, db: sqlite3.Connection, run_id: int) -> dict[str, Any]:
        """Per key of a run its types and last value (nested keys with dots), and the last step."""
        with self._lock:  # not while it is read: other runs' readers need not wait for a long one
            read = self._kept.setdefault(run_id, _Read())
        return read.of(db, run_id)


class _Read:
    """What the rows of a run's history hold, up to a line."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._end = 0
        self._mark: tuple[Any, ...] = ()
        """Of the lines before `_end`: another one, if they are not the same any more."""
        self._last_step = -1
        self._keys: dict[str, dict[str, Any]] = {}

    def of(self, db: sqlite3.Connection, run_id: int) -> dict[str, Any]:
        """`historyKeys` of the run whose lines these are."""
        with self._lock:
            if self._mark != lines.mark(db, run_id, lines.HISTORY, self._end):
                self._forget()
            self._go_on(db, run_id)
            return self._told()

    def _go_on(self, db: sqlite3.Connection, run_id: int) -> None:
        """Read the lines from `_end` on."""
        start = self._end
        for line, row in lines.rows_from(db, run_id, lines.HISTORY, start):
            self._end = line + 1
            if isinstance(step := row.get("_step"), int):
                self._last_step = max(self._last_step, step)
            for key, value in _flat("", row):
                entry = self._keys.setdefault(key, {"types": {}, "monotonic": True, "previousValue": -1})
                kind = _kind(value)
                entry["types"][kind] = entry["types"].get(kind, 0) + 1
                if kind == "number":
                    entry["monotonic"] = entry["monotonic"] and value >= entry["previousValue"]
                    entry["previousValue"] = value
        if self._end > start:
            self._mark = lines.mark(db, run_id, lines.HISTORY, self._end)

    def _told(self) -> dict[str, Any]:
        return {
            "step": "_step",
            "lastStep": self._last_step,
            "sets": [],
            "keys": {
                key: {
                    "typeCounts": [{"type": kind, "count": count} for kind, count in entry["types"].items()],
                    "monotonic": entry["monotonic"],
                    "previousValue": entry["previousValue"],
                }
                for key, entry in self._keys.items()
            },
        }


def _flat(prefix: str, row: dict[str, Any]) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in row.items():
        if isinstance(value, dict) and "_type" not in value:
            pairs += _flat(f"{prefix}{key}.", value)
        else:
            pairs.append((prefix + key, value))
    return pairs


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("_type"))
    if isinstance(value, bool) or value is None:
        return "boolean" if value is not None else "nil"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "list"


def sampled(db: sqlite3.Connection, run_id: int, spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows for one spec: `{"keys": […], "samples": 500, "minStep": …, "maxStep": …}`.

    With keys, only rows that have them all, and only those keys of them.
    """
    low, high, number = spec.get("minStep"), spec.get("maxStep"), spec.get("samples")
    if isinstance(low, int) and isinstance(high, int) and number == high - low + 1:
        high += 1  # newer clients count the last step in, and say so by the number of samples they ask for
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
    """A line of `output.log`, which the client writes as `[ERROR ]time text`."""
    match = _CONSOLE.fullmatch(text)
    level, moment, line = match.groups() if match else (None, None, text)
    return {
        "number": number,
        "timestamp": moment,
        "level": "error" if level else "info",
        "label": "",
        "line": line,
    }
