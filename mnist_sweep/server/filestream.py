"""The file stream: what a run logs, as its client sends it every few seconds."""

import sqlite3
from typing import Any

from mnist_sweep.server import jsonedge
from mnist_sweep.server.store import lines, runs
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.errors import BadRequest
from mnist_sweep.server.sweeper import Sweeper

_STREAMS = {
    "wandb-history.jsonl": lines.HISTORY,
    "wandb-events.jsonl": lines.EVENTS,
    "output.log": lines.CONSOLE,
}
_SUMMARY = "wandb-summary.json"


def apply(db: sqlite3.Connection, sweeper: Sweeper, run: sqlite3.Row, body: Any) -> None:
    """Take in one request of a run's file stream.

    Raises:
        BadRequest: the request is not of the expected form; nothing of it is kept.
    """
    if not isinstance(body, dict):
        raise BadRequest("a file stream request is a JSON object")
    changes: dict[str, Any] = {"heartbeat_at": now(), "started": 1}
    version = runs.update(db, run["id"])
    files = body.get("files") or {}
    if not isinstance(files, dict):
        raise BadRequest("files must be an object")
    for name, chunk in files.items():
        offset, content = _chunk(name, chunk)
        if (stream := _STREAMS.get(name)) is not None:
            lines.put(db, run["id"], stream, offset, content, version)
        elif name == _SUMMARY and content:
            try:
                changes["summary"] = jsonedge.as_object(content[-1], _SUMMARY)
            except ValueError as error:
                raise BadRequest(str(error)) from None
    ended = body.get("complete") is True
    if run["state"] in (*runs.ALIVE, "crashed", "preempted"):
        preempting = body.get("preempting") is True or run["state"] == "preempting"
        changes["state"] = "preempting" if preempting else "running"
    runs.update(db, run["id"], **changes)
    if ended:
        exit_code = body.get("exitcode")
        valid = isinstance(exit_code, int) and abs(exit_code) < 2**31
        runs.end(db, runs.by_id(db, run["id"]), int(exit_code) if valid else 1)  # type: ignore[arg-type]
        if run["sweep_id"] is not None:
            sweeper.finish_if_done(db, run["sweep_id"])


def _chunk(name: Any, chunk: Any) -> tuple[int, list[str]]:
    offset, content = (chunk.get("offset", 0), chunk.get("content")) if isinstance(chunk, dict) else (None, None)
    if (
        not isinstance(offset, int)
        or isinstance(offset, bool)
        or not isinstance(content, list)
        or not all(isinstance(line, str) for line in content)
    ):
        raise BadRequest(f"{str(name)[:100]!r} must have an integer offset and a list of lines as content")
    return offset, content
