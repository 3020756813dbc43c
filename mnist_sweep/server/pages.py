"""Pages for people, at the addresses the client prints, and the same facts as JSON.

What a run logged is text here, escaped, under a policy that runs no script but this server's own files. The charts are
the review's (`mnist_sweep.review`); Plotly's bundle comes out of its Python package.
"""

import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from mnist_sweep.review import page as review
from mnist_sweep.review.words import REPORT_OF
from mnist_sweep.server import actions, addressed, login, reports, reviewing
from mnist_sweep.server.auth import Keys
from mnist_sweep.server.gql import ids
from mnist_sweep.server.http import Json
from mnist_sweep.server.links import Links
from mnist_sweep.server.payloads import Payloads
from mnist_sweep.server.store import Store, artifacts, collections, files, projects, runs, sweeps, views
from mnist_sweep.server.sweeper import Sweeper

_TEMPLATES = Path(__file__).parent / "templates"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_ASSET_HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
_COMPARED = 20
Shown = dict[str, Any]
View = Callable[[sqlite3.Connection, Request], Shown]


def routes(store: Store, keys: Keys, sweeper: Sweeper) -> list[Route]:
    """The pages' routes, the one to log in among them."""
    pages = Pages(store)
    environment = Environment(
        loader=FileSystemLoader([_TEMPLATES, review.TEMPLATES]), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"short": short, "moment": moment, "script_json": review.script_json}
    environment.globals |= {"scripts": review.SCRIPTS, "sections": review.SECTIONS}

    def read(view: View, request: Request) -> Shown:
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
        page("/", "projects.html", pages.projects),
        *login.routes(keys, environment, _HEADERS),
        Route("/-/{name}", asset, methods=["GET"]),
        data("/api/{entity}/{project}/curves", pages.curves),
        data("/api/{entity}/{project}/sweeps/{sweep}/review", pages.sweep_news),
        data("/api/{entity}/{project}/runs/{run}/review", pages.run_news),
        page("/{entity}", "projects.html", pages.projects),
        page("/{entity}/{project}", "project.html", pages.project),
        page("/{entity}/{project}/workspace", "project.html", pages.project),
        page("/{entity}/{project}/groups/{group}", "project.html", pages.project),
        page("/{entity}/{project}/artifacts/{type}/{name}", "artifact.html", pages.artifact),
        page("/{entity}/{project}/artifacts/{type}/{name}/{version}", "artifact.html", pages.artifact),
        page("/{entity}/{project}/compare", "compare.html", pages.compare),
        page("/{entity}/{project}/sweeps/{sweep}", "sweep.html", pages.sweep),
        page("/{entity}/{project}/runs/{run}", "run.html", pages.run),
        page("/{entity}/{project}/reports/{report}", "report.html", pages.report),
        *actions.routes(store, sweeper),
    ]


def asset(request: Request) -> Response:
    """The pages' own scripts and styles. A browser asks every time whether they changed."""
    name = request.path_params["name"]
    if name == "plotly.min.js":
        return FileResponse(review.plotly_bundle(), headers=_ASSET_HEADERS)
    if name in (*review.SCRIPTS, *review.WORKSPACE_SCRIPTS):
        return FileResponse(review.STATIC / name, headers=_ASSET_HEADERS)
    if name == "review.css":
        return Response(review.stylesheet(), media_type="text/css", headers=_ASSET_HEADERS)
    raise HTTPException(404, "no such file")


class Pages:
    """What each page shows."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._payloads = Payloads(store)

    def projects(self, db: sqlite3.Connection, request: Request) -> Shown:
        found = projects.listing(db, request.path_params.get("entity"))
        origin = str(request.base_url).rstrip("/")
        return {"origin": origin, "projects": [dict(row) | projects.activity(db, row["id"]) for row in found]}

    def project(self, db: sqlite3.Connection, request: Request) -> Shown:
        project = addressed.project(db, request)
        group = request.path_params.get("group")
        return {
            "project": project,
            "group": group,
            "sweeps": [_sweep_row(db, row) for row in sweeps.listing(db, project["id"])],
            "data": self._payloads.project(db, project, group),
            "scripts": review.WORKSPACE_SCRIPTS,
            "reports": [dict(row) | {"link": _report_link(row)} for row in views.listing(db, project["id"], "runs")],
        }

    def curves(self, db: sqlite3.Connection, request: Request) -> Shown:
        metric, over = (request.query_params.get(name, "") for name in ("metric", "over"))
        return _finite(self._payloads.project_curves(db, addressed.project(db, request), metric, over))

    def sweep(self, db: sqlite3.Connection, request: Request) -> Shown:
        sweep = addressed.sweep(db, request)
        return {
            "info": reviewing.info(sweep),
            "address": reviewing.project_address(sweep),
            "config": sweep["config"],
            "actions": list(actions.STATES),
            "token": actions.token(self._store),
            "data": self._payloads.sweep(db, sweep),
        }

    def sweep_news(self, db: sqlite3.Connection, request: Request) -> Shown:
        sweep = addressed.sweep(db, request)
        state = request.query_params.get("state", "")
        return _finite(self._payloads.sweep_news(db, sweep, _since(request, "cursor"), state))

    def run(self, db: sqlite3.Connection, request: Request) -> Shown:
        row = addressed.run(db, request)
        record = reviewing.record(db, row)
        links = Links("", self._store.secret)
        listing = [
            dict(file) | {"href": links.download("file", file["id"], file["name"])}
            for file in files.listing(db, row["id"])
        ]
        return {
            "row": row,
            "run": record,
            "address": reviewing.project_address(row),
            "files": listing,
            "artifacts": _artifacts_of(db, row),
            "again": actions.can_run_again(row),
            "ended": row["state"] not in runs.ALIVE,
            "token": actions.token(self._store),
            "data": self._payloads.run(db, row, _sweep_of(db, row)),
        }

    def run_news(self, db: sqlite3.Connection, request: Request) -> Shown:
        row = addressed.run(db, request)
        news = self._payloads.run_news(db, row, _sweep_of(db, row), _since(request, "cursor"))
        return _finite(news)

    def artifact(self, db: sqlite3.Connection, request: Request) -> Shown:
        """A version of an artifact, at the address that `Artifact.url` gives; without a version, the latest."""
        named, project = request.path_params, addressed.project(db, request)
        collection = collections.get(db, project["entity"], project["name"], named["name"])
        member = collections.member(db, collection["id"], named.get("version", "latest"))
        if member is None or collection["type"] != named["type"]:
            raise HTTPException(404, "no such artifact")
        key, links = member["artifact_id"], Links("", self._store.secret)
        artifact = artifacts.by_id(db, key)
        address = reviewing.address(project["entity"], project["name"])
        here = f"{address}/artifacts/{quote(collection['type'])}/{quote(collection['name'])}"
        makers = [] if artifact["run_id"] is None else [("logged by", runs.by_id(db, artifact["run_id"]))]
        users = [("used by", row) for row in artifacts.users_of(db, key)]
        return {
            "project": project,
            "address": address,
            "title": f"{collection['name']}:v{member['version']}",
            "type": collection["type"],
            "name": collection["name"],
            "artifact": artifact,
            "metadata": sorted(json.loads(artifact["metadata"] or "{}").items()),
            "versions": [
                {
                    "number": row["version"],
                    "href": f"{here}/v{row['version']}",
                    "current": row["artifact_id"] == key,
                    "aliases": ", ".join(
                        one["alias"]
                        for one in collections.aliases(
                            db, collection_id=collection["id"], artifact_id=row["artifact_id"]
                        )
                    ),
                }
                for row in collections.members(db, collection["id"])
            ],
            "runs": [
                {"what": what, "name": row["name"], "label": row["display_name"] or row["name"]}
                for what, row in (*makers, *users)
            ],
            "files": [
                dict(row) | {"href": links.download("artifact-file", row["id"], row["name"]) if row["blob"] else None}
                for row in artifacts.files(db, key)
            ],
        }

    def compare(self, db: sqlite3.Connection, request: Request) -> Shown:
        project = addressed.project(db, request)
        names = [name for name in request.query_params.get("runs", "").split(",") if name][:_COMPARED]
        found = [row for name in names if (row := runs.find(db, project["id"], name)) is not None]
        sweep = next((one for row in found if (one := _sweep_of(db, row)) is not None), None)
        return {
            "project": project,
            "address": reviewing.address(project["entity"], project["name"]),
            "count": len(found),
            "data": self._payloads.compare(db, found, sweep),
        }

    def report(self, db: sqlite3.Connection, request: Request) -> Shown:
        project = addressed.project(db, request)
        text = request.path_params["report"].rsplit("--", 1)[-1]
        view = views.by_id(db, ids.decode("View", text))
        if view["project_id"] != project["id"]:
            raise HTTPException(404, "no such report")
        wanted = re.search(rf"{REPORT_OF} (\S+)$", view["description"] or "")
        return {
            "project": project,
            "address": reviewing.address(project["entity"], project["name"]),
            "report": view,
            "blocks": reports.blocks(view["spec"]),
            "sweep": wanted.group(1) if wanted else None,
        }


def short(value: Any) -> str:
    """A value for a table cell."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict) and "_type" in value:
        value = f"{value['_type']}, {value.get('nrows', '?')} rows"
    elif isinstance(value, dict | list):
        value = json.dumps(value)
    text = "" if value is None else str(value)
    return text if len(text) <= 80 else text[:79] + "…"


def moment(text: str | None) -> str:
    """A stored time for people, to the second."""
    return (text or "").replace("T", " ")[:19]


def _finite(news: Shown) -> Shown:
    return dict(review.finite(news))


def _sweep_row(db: sqlite3.Connection, sweep: sqlite3.Row) -> Shown:
    ranking, best = reviewing.best(db, sweep)
    info = ranking.info
    about = {"title": info.title, "method": info.method, "metric": info.metric}
    shown = ranking.words.show(best.value) if best else "–"
    count, active = runs.activity(db, sweep["id"])
    return dict(sweep) | about | {"best": shown, "runs": count, "active": active or sweep["updated_at"]}


def _artifacts_of(db: sqlite3.Connection, run: sqlite3.Row) -> list[Shown]:
    """What a run logged and used, each with the address of its page."""
    found: list[Shown] = []
    both = (("logged", artifacts.made_by(db, run["id"])), ("used", artifacts.used_by(db, run["id"])))
    for what, artifact in ((what, row) for what, rows in both for row in rows):
        collection = collections.by_id(db, artifact["collection_id"])
        place = collections.place(db, collection["id"], artifact["id"])
        if place is not None:
            path = f"{quote(collection['type'])}/{quote(collection['name'])}/v{place['version']}"
            href = f"{reviewing.project_address(run)}/artifacts/{path}"
            name = f"{collection['name']}:v{place['version']}"
            found.append({"what": what, "type": collection["type"], "name": name, "href": href})
    return found


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
