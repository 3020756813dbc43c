"""The pages' routes, at the addresses that the client prints, and the same facts as JSON.

What a run logged is shown as escaped text. The charts are the review's (`mnist_sweep.review`), and Plotly's bundle
comes out of its Python package.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from mnist_sweep.review import page as review
from mnist_sweep.server import lookup
from mnist_sweep.server.auth import Keys, OpenRoute
from mnist_sweep.server.pages import actions, login, new_sweep
from mnist_sweep.server.pages import media as logged
from mnist_sweep.server.pages.contexts import Context, PageData
from mnist_sweep.server.pages.rendering import HEADERS, environment, refusal, render
from mnist_sweep.server.pages.views import Views
from mnist_sweep.server.signed_urls import SignedUrls
from mnist_sweep.server.store import Store, files
from mnist_sweep.server.sweeps.dispatcher import Dispatcher

__all__ = ["environment", "refusal", "routes"]

_MEDIA_HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=3600",
}
_ASSET_HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
_BUNDLE_HEADERS = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
_ASSETS = {
    path.name: path for folder in (review.STATIC, Path(__file__).parent / "static") for path in folder.glob("*.js")
}


def routes(
    store: Store, keys: Keys, dispatcher: Dispatcher, environment: Environment, links: SignedUrls
) -> list[Route]:
    """Return the routes of the pages, the login page among them; `links` signs the addresses of downloads."""
    views = Views(store, links)

    def page(address: str, view: Callable[[sqlite3.Connection, Request], Context]) -> Route:
        def show(request: Request) -> Response:
            with store.read() as db:
                context = view(db, request)
            return render(environment, context)

        return Route(address, show, methods=["GET"])

    def data(address: str, view: Callable[[sqlite3.Connection, Request], PageData]) -> Route:
        def send(request: Request) -> Response:
            with store.read() as db:
                found = view(db, request)
            return Response(review.as_json(found), headers=HEADERS, media_type="application/json")

        return Route(address, send, methods=["GET"])

    def media(request: Request) -> Response:
        """Send an image, a sound or a video of a run for its page. Nothing in it can run a script."""
        name = request.path_params["name"]
        with store.read() as db:
            file = files.find(db, lookup.run(db, request).id, name)
        if file is None or (media_type := logged.media_type(name)) is None:
            raise HTTPException(404, "no such image, sound or video")
        return FileResponse(store.blobs.path(file.blob), media_type=media_type, headers=_MEDIA_HEADERS)

    return [
        page("/", views.projects),
        *login.routes(keys, environment, HEADERS),
        OpenRoute("/-/{name}", asset, methods=["GET"]),
        data("/api/{entity}/{project}/curves", views.curves),
        data("/api/{entity}/{project}/runs", views.project_news),
        data("/api/{entity}/{project}/sweeps/{sweep}/review", views.sweep_news),
        data("/api/{entity}/{project}/runs/{run}/review", views.run_news),
        data("/api/{entity}/{project}/runs/{run}/logged", views.logged),
        Route("/api/{entity}/{project}/runs/{run}/media/{name:path}", media, methods=["GET"]),
        page("/{entity}", views.projects),
        page("/{entity}/{project}", views.project),
        page("/{entity}/{project}/workspace", views.project),
        page("/{entity}/{project}/groups/{group}", views.project),
        page("/{entity}/{project}/artifacts/{type}/{name}", views.artifact),
        page("/{entity}/{project}/artifacts/{type}/{name}/{version}", views.artifact),
        page("/{entity}/{project}/compare", views.compare),
        page("/{entity}/{project}/sweeps/{sweep}", views.sweep),
        page("/{entity}/{project}/runs/{run}", views.run),
        page("/{entity}/{project}/reports/{report}", views.report),
        *new_sweep.routes(store, dispatcher, environment),
        *actions.routes(store, dispatcher),
    ]


def asset(request: Request) -> Response:
    """Send one of the pages' own scripts and styles. Browsers ask each time whether it changed."""
    name = request.path_params["name"]
    if name == "plotly.min.js":
        return Response(review.plotly_bundle(), media_type="text/javascript", headers=_BUNDLE_HEADERS)
    if name in _ASSETS:
        return FileResponse(_ASSETS[name], headers=_ASSET_HEADERS)
    if name == "review.css":
        return Response(review.stylesheet(), media_type="text/css", headers=_ASSET_HEADERS)
    raise HTTPException(404, "no such file")
