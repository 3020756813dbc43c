"""The page on which a sweep is written, checked and created.

The check is the search's own: it knows the syntax and the space, and nothing of the program that a sweep runs. Which
share of the space is feasible is therefore an estimate from the project's earlier runs that lie in this space.
"""

import hmac
import sqlite3
from typing import Any
from urllib.parse import parse_qs, quote

import anyio.to_thread
from jinja2 import Environment
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from mnist_sweep import search
from mnist_sweep.review.fields import field_value, sweep_info
from mnist_sweep.review.formatting import counted
from mnist_sweep.review.records import RunRecord, SweepField, SweepInfo
from mnist_sweep.review.status import CONSTRAINT, Status, classify
from mnist_sweep.server import http, records
from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.pages import actions, sweep_text
from mnist_sweep.server.pages.contexts import NewSweepPage, Place
from mnist_sweep.server.pages.rendering import render
from mnist_sweep.server.store import Store, projects, runs, sweeps
from mnist_sweep.server.store.rows import Project, Sweep
from mnist_sweep.server.sweeps.dispatcher import Dispatcher

LIMIT = 2_000_000
"""Bytes of a form; a configuration has at most half of it."""
EXAMPLE = """\
program: train.py
method: bayes
metric:
  name: val/loss
  goal: minimize
parameters:
  learning_rate:
    distribution: log_uniform_values
    min: 0.0001
    max: 0.1
  batch_size:
    values: [32, 64, 128]
run_cap: 30
"""


def routes(store: Store, dispatcher: Dispatcher, environment: Environment) -> list[Route]:
    """Return the routes of the page, of its check, and of its form."""

    def page(request: Request, text: str, problem: str = "", status: int = 200) -> Response:
        place = Place(request.path_params["entity"], request.path_params["project"])
        context = NewSweepPage(place=place, text=text, problem=problem, token=actions.token(store))
        return render(environment, context, status)

    def show(request: Request) -> Response:
        like = request.query_params.get("like")
        if like is None:
            return page(request, EXAMPLE)
        with store.read() as db:
            sweep = Sweep.get(db, request.path_params["entity"], request.path_params["project"], like)
        return page(request, sweep_text.readable(sweep.config))

    async def check(request: Request) -> Response:
        text = (await _body(request)).decode("utf-8", "replace")
        entity, project = request.path_params["entity"], request.path_params["project"]
        return http.Json(await store.reading(lambda db: answer(db, dispatcher, entity, project, text)))

    async def create(request: Request) -> Response:
        form = parse_qs((await _body(request)).decode("utf-8", "replace"))
        text, token = (form.get(name, [""])[0] for name in ("config", "token"))
        if not hmac.compare_digest(token.encode(), actions.token(store).encode()):
            raise HTTPException(403, actions.FOREIGN_FORM)

        def write() -> str:
            dispatcher.check(sweeps.parse_config(text))
            with store.write() as db:
                project = projects.ensure(db, request.path_params["entity"], request.path_params["project"])
                sweep = Sweep.by_id(db, sweeps.create(db, project.id, text))
                return f"{records.project_address(sweep)}/sweeps/{quote(sweep.name)}"

        try:
            return RedirectResponse(await anyio.to_thread.run_sync(write), status_code=303)
        except BadRequest as problem:
            return page(request, text, str(problem), 400)

    address = "/{entity}/{project}/new-sweep"
    return [
        Route(address, show, methods=["GET"]),
        Route(address, create, methods=["POST"]),
        Route("/api" + address + "/check", check, methods=["POST"]),
    ]


def answer(db: sqlite3.Connection, dispatcher: Dispatcher, entity: str, project: str, text: str) -> dict[str, Any]:
    """Return what the check says of a configuration: `problem`, or `sentences` and `warnings`."""
    try:
        config = sweeps.parse_config(text)
        warnings = dispatcher.check(config)
    except BadRequest as problem:
        return {"problem": str(problem)}
    info = sweep_info(config.given, id="")
    return {"warnings": warnings, "sentences": [_space(config, info), _feasible_share(db, entity, project, info)]}


def _space(config: search.SweepConfig, info: SweepInfo) -> str:
    """Say what is searched, and how many runs the sweep will have."""
    names = ", ".join(field.name for field in info.fields)
    count = counted(len(info.fields), "parameter")
    space = (
        f"The {info.method} search covers {count}: {names}." if names else "Nothing is searched: no parameter varies."
    )
    bounds = [bound for bound in (search.grid_size(config), config.run_cap) if bound is not None]
    return f"{space} {f'It ends after {min(bounds):,} runs.' if bounds else 'It runs until it is stopped.'}"


def _feasible_share(db: sqlite3.Connection, entity: str, project: str, info: SweepInfo) -> str:
    """Say which share of the project's earlier runs in this space was feasible."""
    found = Project.find(db, entity, project)
    rows = runs.of_project(db, found.id) if found is not None else []
    known = [record for row in rows if _inside(record := records.record(db, row, history=False), info)]
    judged = [record for record in known if _is_judged(record)]
    if not judged:
        return "Feasible share: unknown, as no earlier run in this space reported a constraint."
    feasible = sum(classify(record)[0] is not Status.INFEASIBLE for record in judged)
    return (
        f"Feasible share: {feasible / len(judged):.0%}, by {feasible} of {len(judged)} earlier runs in this space"
        " that reported a constraint."
    )


def _is_judged(record: RunRecord) -> bool:
    return "feasible" in record.summary or any(key.startswith(CONSTRAINT) for key in record.summary)


def _inside(record: RunRecord, info: SweepInfo) -> bool:
    return bool(info.fields) and all(_holds(field, field_value(record, field)) for field in info.fields)


def _holds(field: SweepField, value: str | float | None) -> bool:
    if field.kind == "categorical":
        return value in field.choices
    if not isinstance(value, int | float):
        return False
    return (field.low is None or value >= field.low) and (field.high is None or value <= field.high)


async def _body(request: Request) -> bytes:
    return b"".join([piece async for piece in http.chunks(request, LIMIT)])
