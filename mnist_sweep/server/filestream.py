"""The file stream: the requests in which a client sends what its run logs, every few seconds."""

import sqlite3
from typing import Any

from mnist_sweep.server import wire_json
from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.store import lines, runs, segments
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.rows import Run
from mnist_sweep.server.sweeps.dispatcher import Dispatcher

_HISTORY = "wandb-history.jsonl"
_STREAMS = {
    _HISTORY: lines.HISTORY,
    "wandb-events.jsonl": lines.EVENTS,
    "output.log": lines.CONSOLE,
}
_SUMMARY = "wandb-summary.json"


def apply(db: sqlite3.Connection, dispatcher: Dispatcher, run: Run, body: Any) -> None:
    """Write one request of a run's file stream, as one change of the run.

    Raise BadRequest if the request does not have the expected form; nothing of it is written.
    """
    if not isinstance(body, dict):
        raise BadRequest("a file stream request is a JSON object")
    files = body.get("files") or {}
    if not isinstance(files, dict):
        raise BadRequest("files must be an object")
    chunks = {name: _chunk(name, chunk) for name, chunk in files.items()}
    version = runs.next_version(db)
    changes: dict[str, Any] = {"heartbeat_at": now(), "started": 1}
    shifts = segments.shifts(db, run, *chunks.get(_HISTORY, (0, [])))
    if summaries := chunks.get(_SUMMARY, (0, []))[1]:
        summary = wire_json.as_object(summaries[-1], _SUMMARY)
        changes["summary"] = segments.summed_up(segments.of(Run.by_id(db, run.id)), summary)
    for name, (offset, content) in chunks.items():
        stream = _STREAMS.get(name)
        if stream is not None and (shift := shifts[stream]) is not None:
            lines.put(db, run.id, stream, offset + shift, content, version)
    if run.state in (*runs.ALIVE, "crashed", "preempted"):
        preempting = body.get("preempting") is True or run.state == "preempting"
        changes["state"] = "preempting" if preempting else "running"
    ended = body.get("complete") is True
    if ended:
        changes |= runs.ending(run, changes.get("state", run.state), _exit_code(body.get("exitcode")))
    runs.update(db, run.id, version, **changes)
    if ended:
        runs.close(db, run.id)
        if run.sweep_id is not None:
            dispatcher.finish_if_done(db, run.sweep_id)


def _exit_code(value: Any) -> int:
    return value if isinstance(value, int) and abs(value) < 2**31 else 1


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
