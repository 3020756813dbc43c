"""The data that pages draw, as JSON, and what of it is new since a cursor.

The review makes figures and tables from the store's runs. An open page polls with the cursor of its last answer, and
gets the rows that changed, the points that were added, and the small figures again.
"""

import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from urllib.parse import quote

from mnist_sweep.review import figures
from mnist_sweep.review.captions import tiles
from mnist_sweep.review.page_data import Payload, chain_payload, run_payload, sweep_payload
from mnist_sweep.review.palette import SERIES
from mnist_sweep.review.project_page import curves, workspace_payload
from mnist_sweep.review.provenance import JOB_TYPES
from mnist_sweep.review.ranking import rank
from mnist_sweep.review.records import SweepInfo
from mnist_sweep.review.review import Review
from mnist_sweep.server import records as reviewing
from mnist_sweep.server.pages import actions, overview, report_panels
from mnist_sweep.server.pages import media as logged
from mnist_sweep.server.pages.report_blocks import Block
from mnist_sweep.server.store import Store, lines, runs, sweeps
from mnist_sweep.server.store.rows import Project, Run, Sweep
from mnist_sweep.server.sweeps.states import sweep_progress

PAUSE = 2.0
"""Seconds between two requests of an open page; more if an answer takes long to make."""
SHARE = 0.1
"""The share of one core that an open page may use."""
LOG_LINES = 1000


class Payloads:
    """One per store and process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reviews = reviewing.Reviews(store)

    def sweep(self, db: sqlite3.Connection, sweep: Sweep) -> Payload:
        """Return the data of a sweep's page."""
        found = self._reviews.of(db, sweep)
        data = sweep_payload(found)
        data["compare_url"] = f"{reviewing.project_address(sweep)}/compare"
        data |= {"state": found.ranking.info.state, "offered": actions.offered(sweep)}
        address = f"/api{found.ranking.info.url}/review"
        data["live"] = {"url": address, "cursor": str(runs.version(db)), "every": PAUSE}
        return data

    def sweep_news(self, db: sqlite3.Connection, sweep: Sweep, since: int, state: str) -> Payload:
        """Return what changed in the sweep after the cursor `since`; `state` is the one that the page shows.

        The page of an ended sweep keeps polling: finals and confirmations may follow, and it may be resumed.
        """
        started = time.perf_counter()
        cursor = runs.version(db)
        changed = runs.of_sweep(db, sweep.id, since=since)
        followed = runs.of_job_types(db, sweep.project_id, JOB_TYPES, since)
        news: Payload = {"cursor": str(cursor), "state": sweep_progress(db, sweep).text}
        if state != news["state"]:
            news |= {"offered": actions.offered(sweep), "stats": tiles(self._reviews.ranking(db, sweep))}
        if changed or followed:
            found = self._reviews.of(db, sweep)
            news |= _changes(db, found, changed, since) if changed else {"chain": chain_payload(found)}
        return news | {"every": _pause(started)}

    def project(self, db: sqlite3.Connection, project: Project, group: str | None) -> Payload:
        """Return the data of a project's page: its runs, or those of a group."""
        found = [reviewing.record(db, row, history=False) for row in runs.of_project(db, project.id, group=group)]
        objectives = _objectives(reviewing.info(sweep) for sweep in sweeps.listing(db, project.id))
        data, address = workspace_payload(found, objectives), reviewing.address(project.entity, project.name)
        cursor = str(runs.version(db))
        data["workspace"] |= {"url": f"/api{address}/curves", "cursor": cursor}
        query = f"?group={quote(group)}" if group else ""
        live = {"url": f"/api{address}/runs{query}", "cursor": cursor, "every": PAUSE}
        return data | {"selected": [], "live": live}

    def project_news(self, db: sqlite3.Connection, project: Project, group: str | None, since: int) -> Payload:
        """Return what changed in the project after the cursor `since`: rows of runs, and what may be charted."""
        started = time.perf_counter()
        news: Payload = {"cursor": str(runs.version(db))}
        if changed := {row.name for row in runs.of_project(db, project.id, group=group, since=since)}:
            data = self.project(db, project, group)
            news |= {"workspace": data["workspace"]} | _rows(data["table"], changed)
        return news | {"every": _pause(started)}

    def project_curves(
        self,
        db: sqlite3.Connection,
        project: Project,
        metrics: Sequence[str],
        over: str,
        names: Sequence[str],
        since: int,
    ) -> Payload:
        """Return the curves of these runs that changed after the cursor `since`, by metric and run.

        A page only asks for what it draws. The histories are read for that and not kept.
        """
        rows = [row for name in names if (row := Run.find(db, project.id, name)) is not None]
        records = [reviewing.record(db, row) for row in rows if row.version > since]
        return {metric: curves(records, metric, over) for metric in metrics}

    def run(self, db: sqlite3.Connection, row: Run, sweep: Sweep | None) -> Payload:
        """Return the data of a run's page."""
        record = reviewing.record(db, row)
        ranking = rank(_after(sweep), [record])
        (trial,) = ranking.trials
        cursor = str(runs.version(db))
        console = lines.tail(db, row.id, lines.CONSOLE, LOG_LINES)
        live = {"url": f"/api{trial.record.url}/review", "cursor": cursor, "every": PAUSE}
        data = run_payload(trial, ranking, reviewing.media_of(self._store, db, row.id))
        if system := figures.system_curves(reviewing.events(db, row)):
            data["figures"]["system"] = system
        media = {"url": f"/api{trial.record.url}", "keys": logged.of_run(db, row, record), "series": SERIES}
        data["facts"] = overview.facts(self._store, db, row, record)
        return data | {
            "log": {line.line: line.data for line in console},
            "live": live,
            "media": media if media["keys"] else {},
        }

    def run_news(self, db: sqlite3.Connection, row: Run, sweep: Sweep | None, since: int) -> Payload:
        """Return what the run has logged after the cursor `since`."""
        news: Payload = {"cursor": str(runs.version(db))}
        if row.version <= since:
            return news
        record = reviewing.record(db, row)
        ranking = rank(_after(sweep), [record])
        data = run_payload(ranking.trials[0], ranking)
        media = {"url": f"/api{record.url}", "keys": logged.of_run(db, row, record, since), "series": SERIES}
        points = figures.logged_points(reviewing.record(db, row, since=since))
        console = lines.tail(db, row.id, lines.CONSOLE, LOG_LINES, since=since)
        news |= {key: data[key] for key in ("stats", "figures", "axes")} | {
            "log": [(line.line, line.data) for line in console]
        }
        news["facts"] = overview.facts(self._store, db, row, record)
        return news | {"curves": {row.name: points} if points else {}, "media": media}

    def compare(self, db: sqlite3.Connection, project: Project, rows: Sequence[Run], sweep: Sweep | None) -> Payload:
        """Return the data of a comparison: every metric that the runs logged, their sweep's own first."""
        records = [reviewing.record(db, row, history=False) for row in rows]
        data = workspace_payload(records, _objectives([_after(sweep)]))
        address = f"/api{reviewing.address(project.entity, project.name)}/curves"
        data["workspace"] |= {"url": address, "cursor": str(runs.version(db))}
        return data | {"selected": [row.name for row in rows]}

    def report(self, db: sqlite3.Connection, project: Project, blocks: Sequence[Block]) -> tuple[list[Block], Payload]:
        """Return a report's blocks with their panels, and the data of the panels' figures and media by name."""
        drawings = report_panels.Drawings()
        filled = [
            replace(block, panels=report_panels.panels(db, project, block.grid, drawings)) if block.grid else block
            for block in blocks
        ]
        return filled, {"figures": drawings.figures, "run_media": drawings.run_media}


def _pause(started: float) -> float:
    """Return the seconds until an open page asks again; `started` is when this answer was begun (`perf_counter`)."""
    return max(PAUSE, (time.perf_counter() - started) / SHARE)


def _objectives(infos: Iterable[SweepInfo]) -> list[str]:
    """Return the metrics that sweeps optimise."""
    return [name for info in infos for name in (info.metric, info.second.name if info.second else "") if name]


def _after(sweep: Sweep | None) -> SweepInfo:
    """Return a description of the runs' sweep; without a sweep, one without a metric."""
    return reviewing.info(sweep) if sweep is not None else SweepInfo(id="")


def _changes(db: sqlite3.Connection, found: Review, changed: Sequence[Run], since: int) -> Payload:
    data = sweep_payload(found)
    words = found.ranking.presentation
    metric = words.proxy_metric or found.ranking.info.metric
    best = found.ranking.best
    mistakes = best is not None and any(row.name == best.id for row in changed)
    parts = {row.name: figures.curve_points(reviewing.record(db, row, since=since), metric, words) for row in changed}
    kept = ("chain", "texts", "notes", "stats", "findings", "figures", *(["mistakes"] if mistakes else []))
    return {key: data[key] for key in kept} | {
        **_rows(data["table"], {row.name for row in changed}),
        "ranks": {trial.id: trial.rank for trial in found.ranking.ranked},
        "curves": {name: points for name, points in parts.items() if points["x"]},
    }


def _rows(table: Payload, changed: set[str]) -> Payload:
    """Return the rows of these runs, and the order of all rows of the table."""
    rows = [row for row in table["rows"] if row[0] in changed]
    return {"table": {"columns": table["columns"], "rows": rows}, "order": [row[0] for row in table["rows"]]}
