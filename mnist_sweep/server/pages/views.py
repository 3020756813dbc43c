"""What each page shows: from a request's address to the values that its template, or its JSON, is made of."""

import re
import sqlite3
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from mnist_sweep.review import page as review
from mnist_sweep.review.formatting import REPORT_OF
from mnist_sweep.server import lookup, records
from mnist_sweep.server.gql import ids
from mnist_sweep.server.pages import actions, artifacts, media, report_blocks
from mnist_sweep.server.pages.page_data import Payloads
from mnist_sweep.server.signed_urls import SignedUrls
from mnist_sweep.server.store import Store, files, projects, runs, sweeps, views

_COMPARED = 20
PageValues = dict[str, Any]


class Pages:
    """What each page shows."""

    def __init__(self, store: Store, links: SignedUrls) -> None:
        self._store = store
        self._links = links
        self._payloads = Payloads(store)

    def projects(self, db: sqlite3.Connection, request: Request) -> PageValues:
        found = projects.listing(db, request.path_params.get("entity"))
        origin = str(request.base_url).rstrip("/")
        return {"origin": origin, "projects": [dict(row) | projects.activity(db, row["id"]) for row in found]}

    def project(self, db: sqlite3.Connection, request: Request) -> PageValues:
        project = lookup.project(db, request)
        group = request.path_params.get("group")
        data = self._payloads.project(db, project, group)
        held, shown = runs.count(db, project["id"], group), len(data["table"]["rows"])
        return {
            "project": project,
            "group": group,
            "left_out": f"The newest {shown:,} of {held:,} runs." if shown < held else "",
            "sweeps": [_sweep_row(db, row) for row in sweeps.listing(db, project["id"])],
            "data": data,
            "scripts": review.WORKSPACE_SCRIPTS,
            "reports": [dict(row) | {"link": _report_link(row)} for row in views.listing(db, project["id"], "runs")],
        }

    def curves(self, db: sqlite3.Connection, request: Request) -> PageValues:
        asked = request.query_params
        names = [name for name in asked.get("runs", "").split(",") if name]
        project, metrics = lookup.project(db, request), asked.getlist("metric")
        return self._payloads.project_curves(db, project, metrics, asked.get("over", ""), names, _since(request))

    def project_news(self, db: sqlite3.Connection, request: Request) -> PageValues:
        group, since = request.query_params.get("group"), _since(request, "cursor")
        return self._payloads.project_news(db, lookup.project(db, request), group, since)

    def sweep(self, db: sqlite3.Connection, request: Request) -> PageValues:
        sweep = lookup.sweep(db, request)
        return {
            "info": records.info(sweep),
            "address": records.project_address(sweep),
            "config": sweep["config"],
            "actions": list(actions.STATES),
            "token": actions.token(self._store),
            "data": self._payloads.sweep(db, sweep),
        }

    def sweep_news(self, db: sqlite3.Connection, request: Request) -> PageValues:
        sweep = lookup.sweep(db, request)
        state = request.query_params.get("state", "")
        return self._payloads.sweep_news(db, sweep, _since(request, "cursor"), state)

    def run(self, db: sqlite3.Connection, request: Request) -> PageValues:
        row = lookup.run(db, request)
        record = records.record(db, row)
        listing = [dict(file) | {"href": self._links.download("file", file)} for file in files.listing(db, row["id"])]
        return {
            "row": row,
            "run": record,
            "address": records.project_address(row),
            "files": listing,
            "artifacts": artifacts.of_run(db, row),
            "scripts": review.RUN_SCRIPTS,
            "again": actions.can_run_again(row),
            "ended": row["state"] not in runs.ALIVE,
            "token": actions.token(self._store),
            "data": self._payloads.run(db, row, _sweep_of(db, row)),
        }

    def logged(self, db: sqlite3.Connection, request: Request) -> PageValues:
        """A table or a chart that a run logged, at one of its steps."""
        asked = request.query_params
        line = -1 if asked.get("line") == "-1" else _since(request, "line")
        key, chart = asked.get("key", ""), asked.get("chart", "")
        return media.read(self._store, self._links, db, lookup.run(db, request), line, key, chart)

    def run_news(self, db: sqlite3.Connection, request: Request) -> PageValues:
        row = lookup.run(db, request)
        return self._payloads.run_news(db, row, _sweep_of(db, row), _since(request, "cursor"))

    def artifact(self, db: sqlite3.Connection, request: Request) -> PageValues:
        return artifacts.artifact(self._links, db, request)

    def compare(self, db: sqlite3.Connection, request: Request) -> PageValues:
        project = lookup.project(db, request)
        names = [name for name in request.query_params.get("runs", "").split(",") if name][:_COMPARED]
        found = [row for name in names if (row := runs.find(db, project["id"], name)) is not None]
        sweep = next((one for row in found if (one := _sweep_of(db, row)) is not None), None)
        return {
            "project": project,
            "address": records.address(project["entity"], project["name"]),
            "count": len(found),
            "scripts": review.WORKSPACE_SCRIPTS,
            "data": self._payloads.compare(db, project, found, sweep),
        }

    def report(self, db: sqlite3.Connection, request: Request) -> PageValues:
        project = lookup.project(db, request)
        text = request.path_params["report"].rsplit("--", 1)[-1]
        view = views.by_id(db, ids.decode("View", text))
        if view["project_id"] != project["id"]:
            raise HTTPException(404, "no such report")
        blocks = report_blocks.blocks(view["spec"])
        wanted = re.search(rf"{REPORT_OF} (\S+)$", view["description"] or "")
        return {
            "project": project,
            "address": records.address(project["entity"], project["name"]),
            "report": view,
            "blocks": blocks,
            "data": self._payloads.report(db, project, blocks),
            "scripts": review.REPORT_SCRIPTS,
            "sweep": wanted.group(1) if wanted else None,
        }


def _sweep_row(db: sqlite3.Connection, sweep: sqlite3.Row) -> PageValues:
    ranking, best = records.best(db, sweep)
    info = ranking.info
    about = {"title": info.title, "method": info.method, "metric": info.metric}
    shown = ranking.presentation.show(best.value) if best else "–"
    count, active = runs.activity(db, sweep["id"])
    return dict(sweep) | about | {"best": shown, "runs": count, "active": active or sweep["updated_at"]}


def _report_link(view: sqlite3.Row) -> str:
    title = re.sub(r"[^\w-]+", "-", view["display_name"] or view["name"] or "report")
    return f"{title}--{ids.encode('View', view['id']).rstrip('=')}"


def _sweep_of(db: sqlite3.Connection, run: sqlite3.Row) -> sqlite3.Row | None:
    return sweeps.by_id(db, run["sweep_id"]) if run["sweep_id"] is not None else None


def _since(request: Request, name: str = "since") -> int:
    text = request.query_params.get(name, "0")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise HTTPException(400, f"{name} must be a cursor from an earlier answer")
    return int(text)
