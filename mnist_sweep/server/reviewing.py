"""The store's sweeps and runs as the review reads them, kept parsed between questions."""

import json
import sqlite3
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mnist_sweep.review.fields import observed_fields, sweep_info
from mnist_sweep.review.media import Confusion, Mistake, confusion_from_table, mistakes_from_table
from mnist_sweep.review.records import LIVE_STATES, RunRecord, SweepInfo, flatten
from mnist_sweep.server.store import Store, artifacts, lines, runs, sweeps
from mnist_sweep.server.store.kept import Kept

_SWEEPS_KEPT = 16
_TABLE_LIMIT = 20_000_000
_ROWS = 1000
"""A run's history is kept in memory for the charts; more rows than a screen has points are of no use there."""


class Records:
    """Reads a sweep's runs as records; only those that changed since the last question are read again."""

    def __init__(self) -> None:
        self._kept: Kept[RunRecord] = Kept(_SWEEPS_KEPT)

    def of(self, db: sqlite3.Connection, sweep: sqlite3.Row) -> tuple[SweepInfo, list[RunRecord]]:
        """What the sweep is, and its runs with their histories, oldest first."""
        lanes = _lanes(db, sweep)
        versions = runs.versions(db, sweep["id"])
        records = self._kept.of(sweep["id"], versions, lambda key: record(db, runs.by_id(db, key), lanes))
        about = info(sweep)
        return (about if about.fields else replace(about, fields=observed_fields(records))), records


def info(sweep: sqlite3.Row) -> SweepInfo:
    config = sweeps.parse_config(sweep["config"])
    return sweep_info(
        config.given,
        id=sweep["name"],
        name=str(sweep["display_name"] or config.name or ""),
        entity=sweep["entity"],
        project=sweep["project"],
        state=sweep["state"],
        url=f"{project_address(sweep)}/sweeps/{quote(sweep['name'])}",
    )


def record(
    db: sqlite3.Connection, row: sqlite3.Row, lanes: dict[str, str] | None = None, *, since: int = 0
) -> RunRecord:
    """A run, or with `since` only the history that is newer than that change; evenly sampled where it is long."""
    texts = lines.sample(lines.texts(db, row["id"], lines.HISTORY, since=since), _ROWS)
    lane = (lanes or {}).get(row["agent"] or "", row["agent"] or row["host"] or "")
    return RunRecord(
        id=row["name"],
        name=row["display_name"] or row["name"],
        state=row["state"],
        config=flatten(runs.plain_config(row["config"])),
        summary=flatten(json.loads(row["summary"])),
        history=[json.loads(text) for text in texts],
        created_at=datetime.fromisoformat(row["created_at"]),
        finished_at=None if row["state"] in LIVE_STATES else datetime.fromisoformat(row["heartbeat_at"]),
        agent=row["job_type"] or lane,  # as the public API's reader has it
        tags=tuple(json.loads(row["tags"])),
        url=f"{project_address(row)}/runs/{quote(row['name'])}",
        stop_reason=row["stop_reason"] or "",
    )


def with_media(store: Store, db: sqlite3.Connection, key: int, found: RunRecord) -> RunRecord:
    """The record with the confusion matrix and the misclassified images that the run (by row id) has logged."""
    confusion: Confusion | None = None
    mistakes: tuple[Mistake, ...] = ()
    for contents in artifacts.logged(db, key, "run_table"):
        blobs = {name: store.blobs.path(blob) for name, blob in contents.items()}
        for name, path in blobs.items():
            if name.endswith(".table.json") and (table := _table(path)) is not None:
                confusion = confusion or confusion_from_table(table)
                mistakes = mistakes or mistakes_from_table(table, lambda image: blobs[image].read_bytes())  # noqa: B023
    return replace(found, confusion=confusion, mistakes=mistakes)


def project_address(row: sqlite3.Row) -> str:
    """The path of the page of the project that a sweep or a run belongs to."""
    return address(row["entity"], row["project"])


def address(entity: str, project: str) -> str:
    return f"/{quote(entity)}/{quote(project)}"


def _table(path: Path) -> dict[str, Any] | None:
    """A logged table; None for what is too large to be one of ours, or no table."""
    if path.stat().st_size > _TABLE_LIMIT:
        return None
    try:
        table = json.loads(path.read_bytes())
    except ValueError:
        return None
    return table if isinstance(table, dict) else None


def _lanes(db: sqlite3.Connection, sweep: sqlite3.Row) -> dict[str, str]:
    """An agent's name to the words of its lane: its host, and a number where a host has several."""
    agents = sweeps.agents(db, sweep["id"])
    hosts = [agent["host"] or "agent" for agent in agents]
    return {
        agent["name"]: host if hosts.count(host) == 1 else f"{host} {i}"
        for i, (agent, host) in enumerate(zip(agents, hosts, strict=True), start=1)
    }
