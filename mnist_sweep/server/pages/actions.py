"""The buttons of the pages: what people change from a browser.

A form must bring the token that only this server's own pages contain. A page of another site cannot read it.
"""

import hashlib
import hmac
import sqlite3
from collections.abc import Callable
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from mnist_sweep.server import http, lookup
from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.pages.contexts import SweepButton
from mnist_sweep.server.records import project_address
from mnist_sweep.server.store import Store, runs, sweeps
from mnist_sweep.server.store.rows import Run, Sweep
from mnist_sweep.server.sweeps.dispatcher import Dispatcher

FORM_LIMIT = 10_000
STATES = {"pause": "PAUSED", "resume": "RUNNING", "stop": "FINISHED", "cancel": "CANCELED"}
BUTTONS = (
    SweepButton(action="pause", label="Pause"),
    SweepButton(action="resume", label="Resume"),
    SweepButton(
        action="stop",
        label="Stop",
        explanation="No new trial starts. Running trials finish, then agents leave. You can resume the sweep later.",
    ),
    SweepButton(
        action="cancel",
        label="Cancel",
        explanation="Running trials are killed and keep only what they have logged. No new trial starts.",
        danger=True,
    ),
)
RETRYABLE = ("failed", "crashed", "killed")
FOREIGN_FORM = "this form is not from a page of this server, or from an old one; open the page again and retry"


def token(store: Store) -> str:
    """Return the token that forms of this server's own pages carry."""
    return hmac.new(store.secret.encode(), b"forms of the pages", hashlib.sha256).hexdigest()


def offered(sweep: Sweep) -> list[str]:
    """Return the actions that make sense in the sweep's state."""
    if sweep.state in sweeps.OPEN:
        return ["pause", "stop", "cancel"]
    return ["resume", "stop", "cancel"] if sweep.state == "PAUSED" else ["resume"]


def can_retry(run: Run) -> bool:
    """Return whether a run's trial can be handed out again: it failed, and a sweep had suggested it."""
    return run.state in RETRYABLE and run.sweep_id is not None and run.params is not None


def routes(store: Store, dispatcher: Dispatcher) -> list[Route]:
    def action(change: Callable[[sqlite3.Connection, Request, dict[str, str]], str]) -> Callable[..., object]:
        async def act(request: Request) -> Response:
            body = b"".join([piece async for piece in http.chunks(request, FORM_LIMIT)])
            form = {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
            if not hmac.compare_digest(form.get("token", "").encode(), token(store).encode()):
                raise HTTPException(403, FOREIGN_FORM)
            return RedirectResponse(await store.writing(lambda db: change(db, request, form)), status_code=303)

        return act

    def set_state(db: sqlite3.Connection, request: Request, form: dict[str, str]) -> str:
        sweep = lookup.sweep(db, request)
        wanted = form.get("action", "")
        if wanted not in STATES:
            raise BadRequest(f"no such action: {wanted[:50]!r}; known are {', '.join(STATES)}")
        sweeps.update(db, sweep.id, state=STATES[wanted])
        dispatcher.state_was_set(db, sweep.id, STATES[wanted])
        return f"{project_address(sweep)}/sweeps/{sweep.name}"

    def retry(db: sqlite3.Connection, request: Request, form: dict[str, str]) -> str:
        run = lookup.run(db, request)
        if run.sweep_id is None or not can_retry(run):
            raise BadRequest(f"run {run.name} is {run.state}: only a failed trial of a sweep is handed out again")
        state = Sweep.by_id(db, run.sweep_id).state
        if state in ("FINISHED", "CANCELED"):
            raise BadRequest(f"the sweep is {state.lower()}: resume it first, then hand the run out again")
        fresh = {"agent_id": None, "started": 0, "stop_requested": 0, "stop_reason": None}
        runs.update(db, run.id, state="pending", **fresh)
        return f"{project_address(run)}/runs/{run.name}"

    def edit(db: sqlite3.Connection, request: Request, form: dict[str, str]) -> str:
        run = lookup.run(db, request)
        tags = [tag.strip() for tag in form.get("tags", "").split(",") if tag.strip()]
        about = {column: form.get(column, "").strip() for column in ("notes", "run_group")}
        name = form.get("display_name", "").strip() or run.name
        runs.update(db, run.id, display_name=name, tags=tags, **about)
        return f"{project_address(run)}/runs/{run.name}"

    def delete(db: sqlite3.Connection, request: Request, form: dict[str, str]) -> str:
        run = lookup.run(db, request)
        if run.state in runs.ALIVE:
            raise BadRequest(f"run {run.name} is {run.state}: it can be deleted once it has ended")
        Run.delete(db, run.id)
        return project_address(run)

    changes = {"retry": retry, "edit": edit, "delete": delete}

    def change_run(db: sqlite3.Connection, request: Request, form: dict[str, str]) -> str:
        wanted = form.get("action", "")
        if wanted not in changes:
            raise BadRequest(f"no such action: {wanted[:50]!r}; known are {', '.join(changes)}")
        return changes[wanted](db, request, form)

    base = "/{entity}/{project}"
    return [
        Route(base + "/sweeps/{sweep}", action(set_state), methods=["POST"]),
        Route(base + "/runs/{run}", action(change_run), methods=["POST"]),
    ]
