"""The file stream: what a run logs, as its client sends it every few seconds."""

import sqlite3
from typing import Any

from mnist_sweep.server import wire_json
from mnist_sweep.server.store import lines, runs, segments
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.errors import BadRequest
from mnist_sweep.server.sweeps.dispatcher import Dispatcher

_HISTORY = "wandb-history.jsonl"
_STREAMS = {
    _HISTORY: lines.HISTORY,
    "wandb-events.jsonl": lines.EVENTS,
    "output.log": lines.CONSOLE,
}
_SUMMARY = "wandb-summary.json"


def apply(db: sqlite3.Connection, sweeper: Dispatcher, run: sqlite3.Row, body: Any) -> None:
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
    chunks = {name: _chunk(name, chunk) for name, chunk in files.items()}
    try:
        shifts = segments.shifts(db, run, *chunks.get(_HISTORY, (0, [])))
        if summaries := chunks.get(_SUMMARY, (0, []))[1]:
            summary = wire_json.as_object(summaries[-1], _SUMMARY)
            changes["summary"] = segments.summed_up(segments.of(runs.by_id(db, run["id"])), summary)
    except ValueError as error:
        raise BadRequest(str(error)) from None
    for name, (offset, content) in chunks.items():
        stream = _STREAMS.get(name)
        if stream is not None and (shift := shifts[stream]) is not None:
            lines.put(db, run["id"], stream, offset + shift, content, version)
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
