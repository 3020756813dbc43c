"""What the pages of a sweep, of a run and of a comparison show, and what of it is new since a cursor.

The figures and tables are the review's; here the store's runs go in. A page that is open asks with the cursor of its
last answer and gets the rows that changed, the points that were added, and the small figures drawn anew.
"""

import sqlite3
import time
from collections.abc import Sequence
from typing import Any

from mnist_sweep.review import figures
from mnist_sweep.review.page import payload, run_payload, stats
from mnist_sweep.review.records import RunRecord, SweepInfo, ranked
from mnist_sweep.server import actions, reviewing
from mnist_sweep.server.store import Store, lines, runs

PAUSE = 2.0
"""Seconds between two questions of an open page; more where an answer takes long to make."""
SHARE = 0.1
"""The share of one core that an open page may cost."""
LOG_LINES = 1000

Shown = dict[str, Any]


class Charts:
    """One per store and process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._records = reviewing.Records()

    def sweep(self, db: sqlite3.Connection, sweep: sqlite3.Row) -> Shown:
        """The data of a sweep's page."""
        info, records = self._read(db, sweep)
        data = payload(info, records)
        address = reviewing.project_address(sweep)
        data["compare_url"] = f"{address}/compare"
        data |= {"state": sweep["state"], "offered": actions.offered(sweep)}
        data["live"] = {"url": f"/api{info.url}/review", "cursor": str(runs.version(db)), "every": PAUSE}
        return data

    def sweep_news(self, db: sqlite3.Connection, sweep: sqlite3.Row, since: int, state: str) -> Shown:
        """What changed in the sweep after the cursor `since`, when the page showed it in this state."""
        started = time.perf_counter()
        cursor = runs.version(db)
        info, records = self._read(db, sweep)
        news: Shown = {"cursor": str(cursor), "state": sweep["state"]}
        changed = runs.of_sweep(db, sweep["id"], since=since)
        news["done"] = sweep["state"] in ("FINISHED", "CANCELED") and not any(r.state in runs.ALIVE for r in records)
        if state != sweep["state"]:
            news |= {"offered": actions.offered(sweep), "stats": stats(records, info)}
        if changed:
            news |= self._changes(db, info, records, changed, since)
        news["every"] = max(PAUSE, (time.perf_counter() - started) / SHARE)
        return news

    def _changes(
        self,
        db: sqlite3.Connection,
        info: SweepInfo,
        records: Sequence[RunRecord],
        changed: Sequence[sqlite3.Row],
        since: int,
    ) -> Shown:
        data = payload(info, records)
        names = {row["name"] for row in changed}
        rows = data["table"]["rows"]
        parts = {row["name"]: figures.curve_points(reviewing.record(db, row, since=since), info) for row in changed}
        return {key: data[key] for key in ("texts", "notes", "stats", "findings", "figures")} | {
            "table": {"columns": data["table"]["columns"], "rows": [row for row in rows if row["id"] in names]},
            "order": [row["id"] for row in rows],
            "ranks": {row["id"]: row["rank"] for row in rows if "rank" in row},
            "curves": {name: points for name, points in parts.items() if points["x"]},
        }

    def run(self, db: sqlite3.Connection, row: sqlite3.Row, sweep: sqlite3.Row | None) -> Shown:
        """The data of a run's page."""
        info = reviewing.info(sweep) if sweep is not None else SweepInfo(id="", metric="")
        found = reviewing.with_media(self._store, db, row["id"], reviewing.record(db, row))
        cursor = str(runs.version(db))
        console = lines.tail(db, row["id"], lines.CONSOLE, LOG_LINES)
        live = {"url": f"/api{found.url}/review", "cursor": cursor, "every": PAUSE}
        return run_payload(info, found) | {"log": dict(map(tuple, console)), "live": live}

    def run_news(self, db: sqlite3.Connection, row: sqlite3.Row, sweep: sqlite3.Row | None, since: int) -> Shown:
        """What the run has logged after the cursor `since`."""
        news: Shown = {"cursor": str(runs.version(db)), "done": row["state"] not in runs.ALIVE}
        if row["version"] <= since:
            return news
        info = reviewing.info(sweep) if sweep is not None else SweepInfo(id="", metric="")
        data = run_payload(info, reviewing.record(db, row))
        points = figures.logged_points(reviewing.record(db, row, since=since))
        console = lines.tail(db, row["id"], lines.CONSOLE, LOG_LINES, since=since)
        news |= {"stats": data["stats"], "figures": data["figures"], "log": [tuple(line) for line in console]}
        return news | {"curves": {row["name"]: points} if points["x"] else {}}

    def compare(self, db: sqlite3.Connection, rows: Sequence[sqlite3.Row], sweep: sqlite3.Row | None) -> Shown:
        """The data of a page that compares runs of a project."""
        records = [reviewing.record(db, row) for row in rows]
        info = reviewing.info(sweep) if sweep is not None else SweepInfo(id="", metric="val/accuracy")
        data = payload(info, records)
        kept = {name: data["figures"][name] for name in ("curves",) if name in data["figures"]}
        return {"table": data["table"], "figures": kept, "curves": data["curves"]} | {
            "selected": [record.id for record in records]
        }

    def _read(self, db: sqlite3.Connection, sweep: sqlite3.Row) -> tuple[SweepInfo, list[RunRecord]]:
        """The sweep and its runs, the best of them with what it got wrong."""
        info, records = self._records.of(db, sweep)
        for best in ranked(records, info)[:1]:
            row = runs.find(db, sweep["project_id"], best.id)
            if row is not None:
                shown = reviewing.with_media(self._store, db, row["id"], best)
                records = [shown if record is best else record for record in records]
        return info, records
