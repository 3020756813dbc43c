"""Pages for people, at the addresses the client prints, and the same facts as JSON.

What a run logged is text here, escaped, under a policy that runs no script but this server's own files. The charts are
the review's (`mnist_sweep.review`); Plotly's bundle comes out of its Python package.
"""

import json
import sqlite3
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from mnist_sweep.review import page as review
from mnist_sweep.server import lookup
from mnist_sweep.server.auth import Keys, OpenRoute
from mnist_sweep.server.pages import actions, login
from mnist_sweep.server.pages import media as logged
from mnist_sweep.server.pages.views import Pages, PageValues
from mnist_sweep.server.signed_urls import SignedUrls
from mnist_sweep.server.store import Store, files
from mnist_sweep.server.sweeps.dispatcher import Dispatcher

_TEMPLATES = Path(__file__).parent / "templates"
_STATIC = Path(__file__).parent / "static"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " media-src 'self'; frame-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_MEDIA_HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=3600",
}
_ASSET_HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
_PLOTLY = f"/-/plotly.min.js?{version('plotly')}"
_BUNDLE_HEADERS = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
View = Callable[[sqlite3.Connection, Request], PageValues]


def environment() -> Environment:
    """The templates of all pages."""
    found = Environment(
        loader=FileSystemLoader([_TEMPLATES, review.TEMPLATES]), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    found.filters |= {"short": short, "moment": moment, "script_json": review.script_json}
    found.globals |= {"scripts": review.SCRIPTS, "sections": review.SECTIONS, "plotly": _PLOTLY}
    return found


def refusal(environment: Environment, status: int, reason: str) -> Response:
    """Why there is nothing to see, for people."""
    text = environment.get_template("refusal.html").render(status=status, reason=reason)
    return HTMLResponse(text, status, headers=_HEADERS)


def routes(
    store: Store, keys: Keys, dispatcher: Dispatcher, environment: Environment, links: SignedUrls
) -> list[Route]:
    """Return the routes of the pages, the login page among them; `links` signs the addresses of downloads."""
    pages = Pages(store, links)

    def read(view: View, request: Request) -> PageValues:
        with store.read() as db:
            return view(db, request)

    def page(address: str, template: str, view: View) -> Route:
        def show(request: Request) -> Response:
            text = environment.get_template(template).render(read(view, request))
            return HTMLResponse(text, headers=_HEADERS)

        return Route(address, show, methods=["GET"])

    def data(address: str, view: View) -> Route:
        def send(request: Request) -> Response:
            return Response(review.as_json(read(view, request)), headers=_HEADERS, media_type="application/json")

        return Route(address, send, methods=["GET"])

    def media(request: Request) -> Response:
        """A picture, a sound or a film of a run, for its page; nothing in it can run a script."""
        name = request.path_params["name"]
        with store.read() as db:
            file = files.find(db, lookup.run(db, request)["id"], name)
        if file is None or (media_type := logged.media_type(name)) is None:
            raise HTTPException(404, "no such picture, sound or film")
        return FileResponse(store.blobs.path(file["blob"]), media_type=media_type, headers=_MEDIA_HEADERS)

    return [
        page("/", "projects.html", pages.projects),
        *login.routes(keys, environment, _HEADERS),
        OpenRoute("/-/{name}", asset, methods=["GET"]),
        data("/api/{entity}/{project}/curves", pages.curves),
        data("/api/{entity}/{project}/runs", pages.project_news),
        data("/api/{entity}/{project}/sweeps/{sweep}/review", pages.sweep_news),
        data("/api/{entity}/{project}/runs/{run}/review", pages.run_news),
        data("/api/{entity}/{project}/runs/{run}/logged", pages.logged),
        Route("/api/{entity}/{project}/runs/{run}/media/{name:path}", media, methods=["GET"]),
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
        *actions.routes(store, dispatcher),
    ]


def asset(request: Request) -> Response:
    """The pages' own scripts and styles. A browser asks every time whether they changed."""
    name = request.path_params["name"]
    if name == "plotly.min.js":
        return Response(review.plotly_bundle(), media_type="text/javascript", headers=_BUNDLE_HEADERS)
    if name in (*review.SCRIPTS, *review.REPORT_SCRIPTS, *review.WORKSPACE_SCRIPTS):
        return FileResponse(review.STATIC / name, headers=_ASSET_HEADERS)
    if name == "awake.js":
        return FileResponse(_STATIC / name, headers=_ASSET_HEADERS)
    if name == "review.css":
        return Response(review.stylesheet(), media_type="text/css", headers=_ASSET_HEADERS)
    raise HTTPException(404, "no such file")


def short(value: Any) -> str:
    """A value for a table cell."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict) and "_type" in value:
        value = f"{value['_type']}, {value['nrows']} rows" if "nrows" in value else value["_type"]
    elif isinstance(value, dict | list):
        value = json.dumps(value)
    text = "" if value is None else str(value)
    return text if len(text) <= 80 else text[:79] + "…"


def moment(text: str | None) -> str:
    """A stored time for people, to the second."""
    return (text or "").replace("T", " ")[:19]
