"""Pages for people, at the addresses the client prints, and the same facts as JSON.

They show tables and run no script: what a run logged is text here, escaped, under a policy that forbids the rest.
"""

import dataclasses
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from mnist_sweep.server.auth import LOCAL_KEY, Keys
from mnist_sweep.server.http import Json
from mnist_sweep.server.store import Store, files, projects, runs, sweeps

_TEMPLATES = Path(__file__).parent / "templates"
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
Shown = dict[str, Any]
View = Callable[[sqlite3.Connection, Request], Shown]


def routes(store: Store, keys: Keys) -> list[Route]:
    """The pages' routes; where the server has a key, a browser must send it."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["short"] = short

    def read(view: View, request: Request) -> Shown:
        if keys.required and not keys.admit(request.headers.get("authorization")):
            raise HTTPException(401, "the API key is needed here: user api, the key as the password")
        with store.read() as db:
            return view(db, request)

    def page(address: str, template: str, view: View) -> Route:
        def show(request: Request) -> Response:
            text = environment.get_template(template).render(read(view, request))
            return HTMLResponse(text, headers=_HEADERS)

        return Route(address, show, methods=["GET"])

    def data(address: str, view: View) -> Route:
        return Route(address, lambda request: Json(read(view, request), headers=_HEADERS), methods=["GET"])

    return [
        page("/", "projects.html", _projects),
        page("/authorize", "authorize.html", lambda db, request: {"key": None if keys.required else LOCAL_KEY}),
        Route("/style.css", lambda request: FileResponse(_TEMPLATES / "style.css"), methods=["GET"]),
        data("/api/{entity}/{project}/sweeps/{sweep}", _sweep_changes),
        data("/api/{entity}/{project}/runs/{run}", _run_changes),
        page("/{entity}", "projects.html", _projects),
        page("/{entity}/{project}", "project.html", _project),
        page("/{entity}/{project}/sweeps/{sweep}", "sweep.html", _sweep),
        page("/{entity}/{project}/runs/{run}", "run.html", _run),
    ]


def short(value: Any) -> str:
    """A value for a table cell."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "" if value is None else str(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _projects(db: sqlite3.Connection, request: Request) -> Shown:
    return {"projects": projects.listing(db, request.path_params.get("entity"))}


def _found(db: sqlite3.Connection, request: Request) -> sqlite3.Row:
    row = projects.find(db, request.path_params["entity"], request.path_params["project"])
    if row is None:
        raise HTTPException(404, "no such project")
    return row


def _project(db: sqlite3.Connection, request: Request) -> Shown:
    project = _found(db, request)
    return {
        "project": project,
        "sweeps": sweeps.listing(db, project["id"]),
        "runs": runs.of_project(db, project["id"]),
    }


def _found_sweep(db: sqlite3.Connection, request: Request) -> tuple[sqlite3.Row, dict[str, Any]]:
    sweep = sweeps.find(db, _found(db, request)["id"], request.path_params["sweep"])
    if sweep is None:
        raise HTTPException(404, "no such sweep")
    return sweep, sweeps.parse_config(sweep["config"])


def _sweep(db: sqlite3.Connection, request: Request) -> Shown:
    sweep, config = _found_sweep(db, request)
    metric = config.get("metric")
    return {
        "sweep": sweep,
        "config": config,
        "metric": metric.get("name") if isinstance(metric, dict) else None,
        "runs": [runs.record(db, row, since=runs.NO_HISTORY) for row in runs.of_sweep(db, sweep["id"])],
        "agents": sweeps.agents(db, sweep["id"]),
    }


def _found_run(db: sqlite3.Connection, request: Request) -> sqlite3.Row:
    row = runs.find(db, _found(db, request)["id"], request.path_params["run"])
    if row is None:
        raise HTTPException(404, "no such run")
    return row


def _run(db: sqlite3.Connection, request: Request) -> Shown:
    row = _found_run(db, request)
    record = runs.record(db, row)
    logged = [key for line in record.history for key in line if not key.startswith("_")]
    return {
        "project": _found(db, request),
        "run": record,
        "keys": list(dict.fromkeys(logged))[:20],
        "rows": record.history[-200:],
        "files": files.listing(db, row["id"]),
    }


def _since(request: Request) -> int:
    text = request.query_params.get("since", "0")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise HTTPException(400, "since must be a cursor from an earlier answer")
    return int(text)


def _sweep_changes(db: sqlite3.Connection, request: Request) -> Shown:
    """The sweep's state, and of its runs those that changed after the cursor, with their new history."""
    sweep, config = _found_sweep(db, request)
    since = _since(request)
    rows = runs.of_sweep(db, sweep["id"], since=since)
    return {
        "cursor": str(runs.version(db)),
        "state": sweep["state"],
        "config": config,
        "runs": [dataclasses.asdict(runs.record(db, row, since=since)) for row in rows],
    }


def _run_changes(db: sqlite3.Connection, request: Request) -> Shown:
    row, since = _found_run(db, request), _since(request)
    changed = [dataclasses.asdict(runs.record(db, row, since=since))] if row["version"] > since else []
    return {"cursor": str(runs.version(db)), "runs": changed}
