"""Sweeps and their agents."""

import functools
import secrets
import sqlite3
from typing import Any

from mnist_sweep import search
from mnist_sweep.search import SweepConfig, sweep_yaml
from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.store import filters, runs
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.rows import Agent, Sweep

STATES = frozenset({"PENDING", "RUNNING", "PAUSED", "FINISHED", "CANCELED"})
OPEN = ("PENDING", "RUNNING")


def listing(db: sqlite3.Connection, project_id: int, conditions: str | None = None) -> list[Sweep]:
    """Return a project's sweeps that match a filter (`filters`), newest first."""
    where, values = filters.where(conditions, filters.SWEEP_FIELDS)
    return Sweep.all(db, f"WHERE sweeps.project_id = ? AND {where} ORDER BY sweeps.id DESC", project_id, *values)


@functools.lru_cache(maxsize=256)
def parse_config(text: str) -> SweepConfig:
    """Parse a sweep's YAML text.

    Raise BadRequest if the text is not a sweep configuration; the message lists all that is wrong.
    """
    try:
        return search.parse(sweep_yaml.read(text))
    except sweep_yaml.DocumentError as error:
        raise BadRequest(f"The sweep configuration cannot be read: {error}") from None
    except search.ConfigurationError as error:
        raise BadRequest(f"Invalid sweep config: {error}") from None


def create(db: sqlite3.Connection, project_id: int, config: str, **fields: Any) -> int:
    """Create a sweep and return its row id."""
    values = {"project_id": project_id, "name": runs.random_name(), "config": config, "state": "PENDING"}
    key = Sweep.insert(db, **values, created_at=now(), updated_at=now())
    update(db, key, **fields)
    return key


def update(db: sqlite3.Connection, sweep_id: int, **fields: Any) -> None:
    """Set columns of a sweep."""
    if (state := fields.get("state")) is not None and state not in STATES:
        raise BadRequest(f"no such sweep state: {state[:100]!r}; known are {', '.join(sorted(STATES))}")
    Sweep.set(db, sweep_id, **{"updated_at": now(), **fields})


def count_trial(db: sqlite3.Connection, sweep_id: int) -> None:
    """Count one more trial. The count is the number of the next trial and never decreases."""
    db.execute("UPDATE sweeps SET trials = trials + 1 WHERE id = ?", (sweep_id,))


def trial_count(db: sqlite3.Connection, sweep_id: int) -> int:
    """Return how many trials the sweep has handed out or queued, without those that were deleted since."""
    query = "SELECT count(*) FROM runs WHERE sweep_id = ? AND trial >= 0"
    return int(db.execute(query, (sweep_id,)).fetchone()[0])


def run_count(db: sqlite3.Connection, sweep_id: int) -> int:
    return int(db.execute("SELECT count(*) FROM runs WHERE sweep_id = ?", (sweep_id,)).fetchone()[0])


def create_agent(
    db: sqlite3.Connection, sweep_id: int, host: str, task: str | None = None, restart: int | None = None
) -> int:
    """Create an agent, of a task if it names one, and return its row id."""
    values = {"sweep_id": sweep_id, "name": secrets.token_hex(4), "host": host, "task": task, "restart": restart}
    return Agent.insert(db, **values, created_at=now(), heartbeat_at=now())


def any_agent_since(db: sqlite3.Connection, sweep_id: int, moment: str) -> bool:
    """Return whether an agent of the sweep has sent a heartbeat since `moment`."""
    found = db.execute("SELECT 1 FROM agents WHERE sweep_id = ? AND heartbeat_at > ? LIMIT 1", (sweep_id, moment))
    return found.fetchone() is not None


def agents(db: sqlite3.Connection, sweep_id: int) -> list[Agent]:
    """Return a sweep's agents, oldest first."""
    return Agent.all(db, "WHERE sweep_id = ? ORDER BY id", sweep_id)
