"""Read a sweep's runs as the search sees them, and cache them until they change."""

import json
import sqlite3

from mnist_sweep.search import SweepConfig, Trial, relevant
from mnist_sweep.server.store import lines, runs
from mnist_sweep.server.store.rows import Run, Sweep
from mnist_sweep.server.store.run_cache import RunCache

_CACHED_SWEEPS = 64


class Trials:
    """Reads a sweep's trials. Only runs that changed since the last call are read again.

    Of each run it caches only what the search reads.
    """

    def __init__(self) -> None:
        self._cache: RunCache[Trial] = RunCache(_CACHED_SWEEPS)

    def of(self, db: sqlite3.Connection, sweep: Sweep, config: SweepConfig) -> list[Trial]:
        """Return all trials of a sweep in the order of their creation, with its prior runs first."""
        versions = runs.versions(db, sweep.id, json.loads(sweep.prior_runs))
        return self._cache.of(sweep.id, versions, lambda key: read(db, key, config))


def read(db: sqlite3.Connection, run_id: int, config: SweepConfig) -> Trial:
    """Return a run as a trial. The parameters of a run that the sweep did not suggest come from its configuration."""
    row = Run.by_id(db, run_id)
    if row.params is not None:
        params = json.loads(row.params)
    else:
        plain = runs.plain_config(row.config)
        params = {name: plain[name] for name in config.parameters if name in plain}
    metric = None if config.metric is None else config.metric.name
    history = (relevant(logged, metric) for logged in lines.rows(db, run_id, lines.HISTORY))
    return Trial(
        name=row.name,
        params=params,
        state=row.state,
        history=[logged for logged in history if logged],
        summary=relevant(json.loads(row.summary), metric),
    )
