"""A sweep's runs as the search sees them, kept parsed between questions."""

import json
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from mnist_sweep.search import Trial
from mnist_sweep.server.store import lines, runs

_SWEEPS_KEPT = 64


class Trials:
    """Reads a sweep's trials; only runs that changed since the last question are read and parsed again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[int, dict[int, tuple[int, Trial]]] = OrderedDict()

    def of(self, db: sqlite3.Connection, sweep: sqlite3.Row, config: Mapping[str, Any]) -> list[Trial]:
        """All trials of a sweep in the order of their creation, its prior runs first."""
        with self._lock:
            known = self._known.pop(sweep["id"], {})
            self._known[sweep["id"]] = known
            while len(self._known) > _SWEEPS_KEPT:
                self._known.popitem(last=False)
            prior = json.loads(sweep["prior_runs"])
            rows = db.execute(
                "SELECT id, version FROM runs WHERE sweep_id = ?1"
                " OR id IN (SELECT value FROM json_each(?2)) ORDER BY sweep_id IS ?1, id",
                (sweep["id"], json.dumps(prior)),
            ).fetchall()
            for key, version in rows:
                if key not in known or known[key][0] != version:
                    known[key] = (version, read(db, key, config))
            for key in known.keys() - {row[0] for row in rows}:
                del known[key]
            return [known[key][1] for key, _ in rows]


def read(db: sqlite3.Connection, run_id: int, config: Mapping[str, Any]) -> Trial:
    """One run as a trial. A run that the sweep did not suggest has the parameters its configuration names."""
    row = db.execute("SELECT name, params, config, state, summary FROM runs WHERE id = ?", (run_id,)).fetchone()
    if row["params"] is not None:
        params = json.loads(row["params"])
    else:
        plain = runs.plain_config(row["config"])
        names = config.get("parameters") or {}
        params = {name: plain[name] for name in names if name in plain}
    return Trial(
        name=row["name"],
        params=params,
        state=row["state"],
        history=lines.rows(db, run_id, lines.HISTORY),
        summary=json.loads(row["summary"]),
    )
