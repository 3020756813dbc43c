"""A sweep's runs as the search sees them, kept parsed between questions."""

import json
import sqlite3

from mnist_sweep.search import SweepConfig, Trial, relevant
from mnist_sweep.server.store import lines, runs
from mnist_sweep.server.store.run_cache import RunCache

_SWEEPS_KEPT = 64


class Trials:
    """Reads a sweep's trials; only runs that changed since the last question are read and parsed again.

    Of what they logged it keeps only what the search reads.
    """

    def __init__(self) -> None:
        self._kept: RunCache[Trial] = RunCache(_SWEEPS_KEPT)

    def of(self, db: sqlite3.Connection, sweep: sqlite3.Row, config: SweepConfig) -> list[Trial]:
        """All trials of a sweep in the order of their creation, its prior runs first."""
        versions = runs.versions(db, sweep["id"], json.loads(sweep["prior_runs"]))
        return self._kept.of(sweep["id"], versions, lambda key: read(db, key, config))


def read(db: sqlite3.Connection, run_id: int, config: SweepConfig) -> Trial:
    """One run as a trial. A run that the sweep did not suggest has the parameters its configuration names."""
    row = runs.by_id(db, run_id)
    if row["params"] is not None:
        params = json.loads(row["params"])
    else:
        plain = runs.plain_config(row["config"])
        params = {name: plain[name] for name in config.parameters if name in plain}
    metric = None if config.metric is None else config.metric.name
    history = (relevant(logged, metric) for logged in lines.rows(db, run_id, lines.HISTORY))
    return Trial(
        name=row["name"],
        params=params,
        state=row["state"],
        history=[logged for logged in history if logged],
        summary=relevant(json.loads(row["summary"]), metric),
    )
