"""Runs: their columns, their states, and how they end."""

import json
import secrets
import sqlite3
import string
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from mnist_sweep.protocol import EXIT_NODE_UNFIT, EXIT_STOPPED
from mnist_sweep.server import wire_json
from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.store import filters, projects, run_names, segments
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.rows import RUN_TABLES, Run

ALIVE = ("pending", "running", "preempting")
MAX_RETRIES = 3
"""How often a trial is handed out again after its task was lost, or after it asked for another node."""
STATES = frozenset({*ALIVE, "finished", "failed", "crashed", "killed", "preempted"})


class StopRequest(IntEnum):
    """Whether somebody asked a run to stop, as stored in `stop_requested`."""

    NONE = 0
    REQUESTED = 1
    SENT = 2
    """The run's agent has received the command; a second one would cut the run's end short."""


_JSON_COLUMNS = {"config", "summary", "tags"}


def random_name() -> str:
    """Return a new id of the kind that W&B gives to runs and sweeps."""
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))


def next_version(db: sqlite3.Connection) -> int:
    """Return the number of the change that is being written. Later changes have greater numbers."""
    return int(db.execute("UPDATE meta SET value = value + 1 WHERE key = 'version' RETURNING value").fetchone()[0])


def version(db: sqlite3.Connection) -> int:
    """Return the number of the last change."""
    return int(db.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()[0])


def create(db: sqlite3.Connection, project_id: int, name: str, state: str, **fields: Any) -> int:
    """Create a run and return its row id.

    Args:
        fields: more columns, `agent_id`, `trial` and `params` among them. Without `display_name`, the run gets a
            pronounceable name.
    """
    projects.check_name(name, "the run id", limit=256)
    moment = now()
    values = {"project_id": project_id, "name": name, "state": _checked_state(state), "version": 0}
    key = Run.insert(db, **values, created_at=moment, updated_at=moment, heartbeat_at=moment)
    if not fields.get("display_name"):
        second = None if fields.get("sweep_id") is None else "sweep"
        fields["display_name"] = run_names.word_name(count(db, project_id), second=second)
    update(db, key, **fields)
    if "_wandb" in fields.get("config", ()):
        segments.fork(db, Run.by_id(db, key))
    return key


def update(db: sqlite3.Connection, run_id: int, version: int | None = None, /, **fields: Any) -> int:
    """Set columns of a run (JSON columns take values) and mark it as changed.

    Args:
        version: the number of the change that this is part of; a new one if None.

    Returns:
        The number of the change.
    """
    version = next_version(db) if version is None else version
    if "state" in fields:
        _checked_state(fields["state"])
    for column in _JSON_COLUMNS & fields.keys():
        fields[column] = wire_json.dumps(fields[column])
    Run.set(db, run_id, **{"version": version, "updated_at": now(), **fields})
    return version


def begin_or_resume(db: sqlite3.Connection, run: Run, state: str | None, *, resume: bool, **fields: Any) -> None:
    """Record that a client starts a known run over, resumes it, or changes it while it runs.

    A change without a state keeps the state: a run that is being preempted stays so.

    Without `resume`, what was logged before is dropped, as W&B does, unless the rows that follow belong to it
    (`segments`). A change looks like a start, with two differences: the run has not ended, and the configuration has
    the entry `e` (for the environment), which a client adds once it runs.

    A killed trial of a canceled sweep stays so if a client starts or changes it as a trial of that sweep. The client
    then reads that it should stop.
    """
    is_trial = "sweep_id" in fields or "e" in wire_json.client_entry(fields.get("config"))  # 0.28 names it at the start
    if is_trial and run.state == "killed" and run.sweep_state == "CANCELED":
        update(db, run.id, **fields)
        return
    under_way = run.state in ALIVE and run.started
    if under_way and "e" not in wire_json.client_entry(fields.get("config")):
        under_way = "e" not in wire_json.client_entry(json.loads(run.config))
    if not under_way:
        fields.update(stop_requested=StopRequest.NONE, stop_reason=None, exit_code=None)
        if resume:
            segments.resume(db, run)
        else:
            fields.setdefault("summary", {})
            (segments.drop if run.state == "pending" else segments.begin)(db, run)
    elif "config" in fields:
        fields["config"] = segments.merged(segments.of(run), fields["config"])
    if state is None:
        state = "preempting" if under_way and run.state == "preempting" else "running"
    update(db, run.id, state=state, heartbeat_at=now(), started=1, **fields)
    if not under_way and not resume:
        segments.adopt_parent(db, Run.by_id(db, run.id))


def ending(run: Run, state: str, exit_code: int) -> dict[str, Any]:
    """Return the columns of a run whose process ended in this state with this exit code.

    A run that was asked to stop and ended with an error was killed; it did not fail. A preempting run that asks to be
    tried elsewhere is believed up to MAX_RETRIES times.
    """
    retries = run.retries
    if exit_code == 0:
        state = "finished"
    elif run.stop_requested or exit_code == EXIT_STOPPED:
        state = "killed"
    elif state == "preempting":
        retries += exit_code == EXIT_NODE_UNFIT
        state = "preempted" if retries <= MAX_RETRIES else "failed"
    else:
        state = "failed"
    return {"state": state, "exit_code": exit_code, "retries": retries}


def close(db: sqlite3.Connection, run_id: int) -> None:
    """Sort the rows of a run that ended, and give its forks what they lack of them."""
    run = Run.by_id(db, run_id)
    segments.close(db, run)
    for fork in segments.propagate_to_forks(db, run):
        update(db, fork)


def request_stop(db: sqlite3.Connection, run_id: int, reason: str) -> None:
    """Ask a run to stop. Its client learns of it from the answer to the next lines that it sends."""
    update(db, run_id, stop_requested=StopRequest.REQUESTED, stop_reason=reason)


def silent(db: sqlite3.Connection, since: str) -> list[Run]:
    """Return the runs that should be running, or starting at an agent, but have sent nothing since then."""
    return Run.all(
        db,
        "WHERE runs.state IN ('running', 'preempting') AND runs.heartbeat_at < ?1"
        " OR runs.state = 'pending' AND agents.heartbeat_at < ?1",
        since,
    )


def limit_heartbeats(db: sqlite3.Connection, moment: str) -> None:
    """Set the heartbeats of unfinished runs and of agents that lie after `moment` to `moment`."""
    db.execute(
        "UPDATE runs SET heartbeat_at = ?1 WHERE state IN ('pending', 'running', 'preempting') AND heartbeat_at > ?1",
        (moment,),
    )
    db.execute("UPDATE agents SET heartbeat_at = ?1 WHERE heartbeat_at > ?1", (moment,))


def defined_metrics(text: str) -> Any:
    """Return what `run.define_metric` stored in a configuration, or None."""
    return wire_json.client_entry(wire_json.stored(text)).get("m")


def charts(text: str) -> dict[str, Any]:
    """Return the definitions of `wandb.plot` charts in a configuration, by key."""
    found = wire_json.client_entry(wire_json.stored(text)).get("visualize")
    return found if isinstance(found, dict) else {}


def mask_classes(text: str) -> dict[str, Any]:
    """Return the class names of masks in a configuration, by key and mask."""
    found = wire_json.client_entry(wire_json.stored(text)).get("mask/class_labels")
    return found if isinstance(found, dict) else {}


def plain_config(text: str) -> dict[str, Any]:
    """Return W&B's `{"lr": {"value": 0.1}, "_wandb": …}` as `{"lr": 0.1}`."""
    config = wire_json.stored(text)
    return {
        key: value["value"] if isinstance(value, dict) and "value" in value else value
        for key, value in config.items()
        if key not in ("_wandb", "wandb_version")
    }


def of_sweep(db: sqlite3.Connection, sweep_id: int, *, since: int = 0) -> list[Run]:
    """Return a sweep's runs, or those that changed after `since`, oldest first."""
    return Run.all(db, "WHERE runs.sweep_id = ? AND runs.version > ? ORDER BY runs.id", sweep_id, since)


def alive_at(db: sqlite3.Connection, agent_id: int) -> list[Run]:
    """Return the runs that an agent was given and that have not ended."""
    return Run.all(db, "WHERE runs.agent_id = ? AND runs.state IN ('pending', 'running', 'preempting')", agent_id)


def first_waiting(
    db: sqlite3.Connection, sweep_id: int, task: str | None = None, *, elsewhere: bool = False
) -> Run | None:
    """Return the run of a sweep that waits for an agent (queued or preempted): one that `task` had, else the oldest.

    With `elsewhere`, one that `task` gave back is not meant.
    """
    mine = "ifnull(runs.holder GLOB ?2 || '/*', 0)"
    return Run.first(
        db,
        "WHERE runs.sweep_id = ?1 AND (runs.state = 'preempted' OR runs.state = 'pending' AND runs.agent_id IS NULL)"
        f" AND NOT (?3 AND {mine} AND ifnull(runs.exit_code = {EXIT_NODE_UNFIT}, 0))"
        f" ORDER BY {mine} DESC, runs.id LIMIT 1",
        sweep_id,
        task,
        elsewhere,
    )


def held_by(db: sqlite3.Connection, sweep_id: int, task: str, restart: int) -> list[Run]:
    """Return the unfinished runs that a task was given, in this start of it or an earlier one."""
    unfinished = "runs.state IN ('pending', 'running', 'preempting')"
    where = f"WHERE runs.sweep_id = ? AND {unfinished} AND agents.task = ? AND agents.restart <= ?"
    return Run.all(db, where, sweep_id, task, restart)


def count_unfinished(db: sqlite3.Connection, sweep_id: int) -> tuple[int, int]:
    """Return how many of the sweep's runs an agent has received, and how many wait for one."""
    waits = "state = 'preempted' OR state = 'pending' AND agent_id IS NULL"
    unfinished = "state IN ('pending', 'running', 'preempting', 'preempted')"
    total, waiting = db.execute(
        f"SELECT count(*), ifnull(sum({waits}), 0) FROM runs WHERE sweep_id = ? AND {unfinished}", (sweep_id,)
    ).fetchone()
    return total - waiting, waiting


def versions(db: sqlite3.Connection, sweep_id: int, prior: Sequence[int] = ()) -> list[tuple[int, int]]:
    """Return row id and version of a sweep's runs: its prior runs first, then the others, oldest first."""
    return db.execute(
        "SELECT id, version FROM runs WHERE sweep_id = ?1 OR id IN (SELECT value FROM json_each(?2))"
        " ORDER BY sweep_id IS ?1, id",
        (sweep_id, wire_json.dumps(list(prior))),
    ).fetchall()


def activity(db: sqlite3.Connection, sweep_id: int) -> tuple[int, str | None]:
    """Return how many runs a sweep has, and when one of them last changed."""
    count, active = db.execute("SELECT count(*), max(updated_at) FROM runs WHERE sweep_id = ?", (sweep_id,)).fetchone()
    return count, active


def search(
    db: sqlite3.Connection, conditions: str | None, order: str | None, start: int, length: int, **only: int | None
) -> tuple[list[Run], int]:
    """Return one page of the runs that match a filter, in an order (`filters`), and how many match in total.

    Args:
        start, length: the page.
        only: columns that must have a value, where one is given: project_id, sweep_id, agent_id.

    Raises:
        BadRequest: no such filter or order.
    """
    where, values = filters.where(conditions)
    for column, value in only.items():
        if value is not None:
            where, values = f"runs.{column} = ? AND {where}", [value, *values]
    sort, sort_values = filters.order(order)
    total = db.execute(f"SELECT count(*) FROM {RUN_TABLES} WHERE {where}", values).fetchone()[0]
    page = f"WHERE {where} ORDER BY {sort} LIMIT ? OFFSET ?"
    return Run.all(db, page, *values, *sort_values, length, start), total


def of_project(
    db: sqlite3.Connection, project_id: int, *, group: str | None = None, since: int = 0, limit: int | None = 1000
) -> list[Run]:
    """Return a project's runs, or those of a group, that changed after `since`; newest first."""
    where = "runs.project_id = ?1 AND (?2 IS NULL OR runs.run_group = ?2) AND runs.version > ?3"
    return Run.all(db, f"WHERE {where} ORDER BY runs.id DESC LIMIT ifnull(?4, -1)", project_id, group, since, limit)


def count(db: sqlite3.Connection, project_id: int, group: str | None = None) -> int:
    """Return how many runs a project has, or a group of it."""
    where = "project_id = ?1 AND (?2 IS NULL OR run_group = ?2)"
    found: int = db.execute(f"SELECT count(*) FROM runs WHERE {where}", (project_id, group)).fetchone()[0]
    return found


def of_job_types(db: sqlite3.Connection, project_id: int, kinds: Sequence[str], since: int = 0) -> list[Run]:
    """Return a project's runs of these job types that changed after `since`, oldest first."""
    marks = ", ".join("?" * len(kinds))
    where = f"WHERE runs.project_id = ? AND runs.version > ? AND runs.job_type IN ({marks})"
    return Run.all(db, f"{where} ORDER BY runs.id", project_id, since, *kinds)


def _checked_state(state: str) -> str:
    if state not in STATES:
        raise BadRequest(f"no such run state: {state[:100]!r}; known are {', '.join(sorted(STATES))}")
    return state
