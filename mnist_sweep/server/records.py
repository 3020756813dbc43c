"""Read the store's sweeps and runs as the review needs them, and keep them parsed between requests."""

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mnist_sweep.review.fields import observed_fields, sweep_info
from mnist_sweep.review.importance import measure
from mnist_sweep.review.mistakes import Media, Read, from_tables
from mnist_sweep.review.palette import run_number
from mnist_sweep.review.provenance import JOB_TYPES, Chain, read
from mnist_sweep.review.ranking import RankedTrial, Ranking, rank
from mnist_sweep.review.records import RunRecord, SweepInfo, flat_rows, flatten, step_metrics
from mnist_sweep.review.review import Review, build_review
from mnist_sweep.review.status import LIVE_STATES
from mnist_sweep.server.store import Store, artifacts, lines, runs, sweeps
from mnist_sweep.server.store.rows import Run, Sweep
from mnist_sweep.server.store.run_cache import RunCache
from mnist_sweep.server.sweeps.states import run_status, sweep_progress
from mnist_sweep.server.wire_json import stored, stored_object

_SWEEPS_KEPT = 16
_MEASURES_KEPT = 32
_TABLE_LIMIT = 20_000_000
_ROWS = 1000
"""Rows of a run's history that are kept in memory for charts: about as many as a screen has points."""


class Reviews:
    """Reviews of a store's sweeps. Only runs that changed since the last request are read again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: RunCache[RunRecord] = RunCache(_SWEEPS_KEPT)
        # an open page polls often while no trial ends: the sample is then the same
        self._measured = lru_cache(_MEASURES_KEPT)(measure)

    def of(self, db: sqlite3.Connection, sweep: Sweep) -> Review:
        """Return the sweep's review, with the mistakes of its best run."""
        ranking = self.ranking(db, sweep)
        media: dict[str, Media] = {}
        if ranking.best and (row := Run.find(db, sweep.project_id, ranking.best.id)) is not None:
            media = {ranking.best.id: found} if (found := media_of(self._store, db, row.id)) else {}
        return build_review(ranking, media=media, measured=self._measured, chain=chain(db, sweep))

    def ranking(self, db: sqlite3.Connection, sweep: Sweep) -> Ranking:
        """Return the sweep's runs with their histories, ranked."""
        versions = runs.versions(db, sweep.id)
        known = self._kept.of(sweep.id, versions, lambda key: record(db, Run.by_id(db, key)))
        records = [replace(one, read_at=datetime.now(UTC)) if one.read_at else one for one in known]
        about = replace(info(sweep), state=sweep_progress(db, sweep).text)
        return rank(about if about.fields else replace(about, fields=observed_fields(records)), records)


def chain(db: sqlite3.Connection, sweep: Sweep) -> Chain:
    """Return the finals and confirmations that followed the sweep."""
    rows = runs.of_job_types(db, sweep.project_id, JOB_TYPES)
    return read(info(sweep), [record(db, row, history=False) for row in rows])


def best(db: sqlite3.Connection, sweep: Sweep) -> tuple[Ranking, RankedTrial | None]:
    """Return the sweep's ranking by the summaries alone, and its best run."""
    records = [record(db, row, history=False) for row in runs.of_sweep(db, sweep.id)]
    ranking = rank(info(sweep), records)
    return ranking, ranking.best


def info(sweep: Sweep) -> SweepInfo:
    """Return the description of a sweep: what it searches, by which metric."""
    config = sweeps.parse_config(sweep.config)
    return sweep_info(
        config.given,
        id=sweep.name,
        name=str(sweep.display_name or config.name or ""),
        entity=sweep.entity,
        project=sweep.project,
        state=sweep.state,
        url=f"{project_address(sweep)}/sweeps/{quote(sweep.name)}",
    )


def record(
    db: sqlite3.Connection,
    row: Run,
    *,
    since: int = 0,
    history: bool = True,
) -> RunRecord:
    """Return a run; with `since`, only the history newer than that version. Long histories are sampled evenly."""
    texts = lines.sampled(db, row.id, lines.HISTORY, _ROWS, since=since) if history else ()
    return RunRecord(
        id=row.name,
        name=row.display_name or row.name,
        state=run_status(row).value,
        config=flatten(runs.plain_config(row.config)),
        summary=flatten(stored(row.summary)),
        history=flat_rows(stored(f"[{','.join(texts)}]")),  # parsed at once, the rows share their keys
        step_metrics=step_metrics(runs.defined_metrics(row.config)),
        created_at=datetime.fromisoformat(row.created_at),
        finished_at=None if row.state in LIVE_STATES else datetime.fromisoformat(row.heartbeat_at),
        read_at=datetime.now(UTC) if row.state in ("running", "preempting") else None,
        host=row.host or "",
        group=row.run_group or "",
        tags=tuple(stored(row.tags)),
        url=f"{project_address(row)}/runs/{quote(row.name)}",
        stop_reason=row.stop_reason or "",
        number=run_number(row.sweep, row.trial) if row.sweep and row.trial is not None else row.id,
    )


def events(db: sqlite3.Connection, row: Run) -> RunRecord:
    """Return what the client measured of the machine during a run, as the history of a record."""
    texts = lines.sampled(db, row.id, lines.EVENTS, _ROWS)
    return RunRecord(id=row.name, history=[stored(text) for text in texts])


def media_of(store: Store, db: sqlite3.Connection, key: int) -> Media | None:
    """Return the confusion matrix and the misclassified images of a run, by its row id; None without any."""
    return from_tables(_tables(store, db, key))


def _tables(store: Store, db: sqlite3.Connection, key: int) -> Iterator[tuple[dict[str, Any], Read]]:
    for contents in artifacts.logged(db, key, "run_table"):
        paths = {name: store.blobs.path(blob) for name, blob in contents.items()}

        def read(name: str, paths: Mapping[str, Path] = paths) -> bytes:
            return paths[name].read_bytes()

        for name, path in paths.items():
            if name.endswith(".table.json") and (table := stored_object(path, _TABLE_LIMIT)) is not None:
                yield table, read


def project_address(row: Run | Sweep) -> str:
    """Return the path of the page of the project that a sweep or a run belongs to."""
    return address(row.entity, row.project)


def address(entity: str, project: str) -> str:
    return f"/{quote(entity)}/{quote(project)}"
