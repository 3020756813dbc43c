"""What a run is, in short facts: the card on top of its page."""

import shlex
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from mnist_sweep.review.formatting import counted, duration
from mnist_sweep.review.page_data import Payload
from mnist_sweep.review.records import RunRecord
from mnist_sweep.review.status import classify
from mnist_sweep.server.store import Store, files
from mnist_sweep.server.store.rows import Run
from mnist_sweep.server.wire_json import client_entry, stored, stored_object

_METADATA = "wandb-metadata.json"
_METADATA_LIMIT = 1_000_000


def facts(store: Store, db: sqlite3.Connection, row: Run, record: RunRecord) -> list[Payload]:
    """Return the facts that are known, as `label`, `value` and, for a running run's duration, `elapsed` seconds.

    Most come from the file of metadata that the client uploads at the start of a run.
    """
    known = [fact for fact in _facts(_metadata(store, db, row), row, record) if fact["value"]]
    return [{name: value for name, value in fact.items() if value is not None} for fact in known]


def _facts(metadata: Mapping[str, Any], row: Run, record: RunRecord) -> Iterator[Payload]:
    _, reason = classify(record)
    yield _fact("state", f"{record.state}: {reason}" if reason and record.state not in reason else record.state)
    seconds = record.seconds
    if seconds is not None:
        yield _fact("duration", duration(seconds)) | {"elapsed": seconds if record.read_at else None}
    yield _fact("started", row.created_at.replace("T", " ")[:19] + " UTC")
    yield _fact("job type", row.job_type)
    yield _fact("command", _command(metadata, row))
    git = metadata.get("git")
    git = git if isinstance(git, dict) else {}
    yield _fact("git commit", row.commit_hash or git.get("commit"))
    yield _fact("git remote", row.repo or git.get("remote"))
    yield _fact("host", ", ".join(_texts(row.host or metadata.get("host"), metadata.get("os"))))
    yield _fact("Python", metadata.get("python") or client_entry(stored(row.config)).get("python_version"))
    yield _fact("GPU", _gpus(metadata))
    yield _fact("CPU", _cpus(metadata))
    yield _fact("group", row.run_group)
    yield _fact("tags", ", ".join(record.tags))
    yield _fact("notes", row.notes)


def _fact(label: str, value: Any) -> Payload:
    return {"label": label, "value": str(value) if isinstance(value, str | int | float) else ""}


def _command(metadata: Mapping[str, Any], row: Run) -> str:
    """Return the command line of the run's program, as a shell would take it."""
    program = next(iter(_texts(metadata.get("codePath"), metadata.get("program"), row.program)), "")
    arguments = metadata.get("args")
    given = _texts(*arguments) if isinstance(arguments, list) else []
    return shlex.join(["python", program, *given]) if program else ""


def _gpus(metadata: Mapping[str, Any]) -> str:
    name, count = metadata.get("gpu"), metadata.get("gpu_count")
    if not isinstance(name, str):
        return ""
    return f"{count} × {name}" if isinstance(count, int) and count > 1 else name


def _cpus(metadata: Mapping[str, Any]) -> str:
    described, count = metadata.get("cpu"), metadata.get("cpu_count_logical") or metadata.get("cpu_count")
    model = described.get("model") if isinstance(described, dict) else None
    cores = counted(count, "core") if isinstance(count, int) else None
    return ", ".join(_texts(model, cores))


def _texts(*values: Any) -> list[str]:
    return [value for value in values if isinstance(value, str) and value]


def _metadata(store: Store, db: sqlite3.Connection, row: Run) -> Mapping[str, Any]:
    """Return the metadata that the client uploaded; empty if there is none, or none that can be read."""
    file = files.find(db, row.id, _METADATA)
    found = None if file is None else stored_object(store.blobs.path(file.blob), _METADATA_LIMIT)
    return found or {}
