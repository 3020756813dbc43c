"""Sweeps and their agents."""

import functools
import secrets
import sqlite3
from typing import Any

from mnist_sweep import search
from mnist_sweep.search import SweepConfig, sweep_yaml
from mnist_sweep.server.errors import BadRequest, NotFound
from mnist_sweep.server.store import filters, projects, runs
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.columns import set_columns

STATES = frozenset({"PENDING", "RUNNING", "PAUSED", "FINISHED", "CANCELED"})
OPEN = ("PENDING", "RUNNING")
_COLUMNS = frozenset(
    {"display_name", "description", "config", "state", "exhausted", "controller", "scheduler", "prior_runs"}
    | {"updated_at"}
)

SELECT = """
SELECT sweeps.*, projects.entity, projects.name AS project
FROM sweeps JOIN projects ON projects.id = sweeps.project_id
"""


def find(db: sqlite3.Connection, project_id: int, name: str) -> sqlite3.Row | None:
    """Return a project's sweep with that short id, or None."""
    row: sqlite3.Row | None = db.execute(
        f"{SELECT} WHERE sweeps.project_id = ? AND sweeps.name = ?", (project_id, name)
    ).fetchone()
    return row


def get(db: sqlite3.Connection, entity: str, project: str, name: str) -> sqlite3.Row:
    """Return the sweep with that short id in a project.

    Raises:
        NotFound: there is no such sweep.
    """
    return projects.get_within(db, entity, project, name, find, "sweep")


def by_id(db: sqlite3.Connection, sweep_id: int) -> sqlite3.Row:
    """Return the sweep with this row id. Raises `NotFound` if there is none."""
    row: sqlite3.Row | None = db.execute(f"{SELECT} WHERE sweeps.id = ?", (sweep_id,)).fetchone()
    if row is None:
        raise NotFound("no such sweep; it may have been deleted")
    return row


def listing(db: sqlite3.Connection, project_id: int, conditions: str | None = None) -> list[sqlite3.Row]:
    """Return a project's sweeps that match a filter (`filters`), newest first."""
    where, values = filters.where(conditions, filters.SWEEP_FIELDS)
    return db.execute(
        f"{SELECT} WHERE sweeps.project_id = ? AND {where} ORDER BY sweeps.id DESC", [project_id, *values]
    ).fetchall()


@functools.lru_cache(maxsize=256)
def parse_config(text: str) -> SweepConfig:
    """Parse a sweep's YAML text.

    Raises:
        BadRequest: the text is not a sweep configuration; the message lists all that is wrong.
    """
    try:
        return search.parse(sweep_yaml.read(text))
    except sweep_yaml.DocumentError as error:
        raise BadRequest(f"The sweep configuration cannot be read: {error}") from None
    except search.ConfigurationError as error:
        raise BadRequest(f"Invalid sweep config: {error}") from None


def create(db: sqlite3.Connection, project_id: int, config: str, **fields: Any) -> int:
    """Create a sweep and return its row id."""
    moment = now()
    cursor = db.execute(
        "INSERT INTO sweeps (project_id, name, config, state, created_at, updated_at)"
        " VALUES (?, ?, ?, 'PENDING', ?, ?)",
        (project_id, runs.random_name(), config, moment, moment),
    )
    assert cursor.lastrowid is not None
    update(db, cursor.lastrowid, **fields)
    return cursor.lastrowid


def update(db: sqlite3.Connection, sweep_id: int, **fields: Any) -> None:
    """Set columns of a sweep (`_COLUMNS`)."""
    if (state := fields.get("state")) is not None and state not in STATES:
        raise BadRequest(f"no such sweep state: {state[:100]!r}; known are {', '.join(sorted(STATES))}")
    set_columns(db, "sweeps", sweep_id, _COLUMNS, {"updated_at": now(), **fields})


def delete(db: sqlite3.Connection, sweep_id: int) -> None:
    """Remove a sweep and its agents. Its runs stay, without a sweep."""
    db.execute("DELETE FROM sweeps WHERE id = ?", (sweep_id,))


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
    moment = now()
    cursor = db.execute(
        "INSERT INTO agents (sweep_id, name, host, task, restart, created_at, heartbeat_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (sweep_id, secrets.token_hex(4), host, task, restart, moment, moment),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


AGENTS = """
SELECT agents.*, (SELECT count(*) FROM runs WHERE agent_id = agents.id) AS total_runs,
    EXISTS (SELECT 1 FROM agents AS later WHERE later.sweep_id = agents.sweep_id
        AND later.task = agents.task AND later.restart > agents.restart) AS superseded
FROM agents
"""


def agent(db: sqlite3.Connection, agent_id: int) -> sqlite3.Row:
    """Return an agent with two more columns: `total_runs`, and whether its task was restarted since (`superseded`)."""
    row: sqlite3.Row | None = db.execute(f"{AGENTS} WHERE id = ?", (agent_id,)).fetchone()
    if row is None:
        raise NotFound("no such agent; its sweep may have been deleted")
    return row


def touch_agent(db: sqlite3.Connection, agent_id: int) -> sqlite3.Row:
    """Record that an agent is alive; return its sweep.

    Raises:
        NotFound: the agent no longer exists.
    """
    moment = now()
    done = db.execute(
        "UPDATE agents SET heartbeat_at = ? WHERE id = ? RETURNING sweep_id", (moment, agent_id)
    ).fetchone()
    if done is None:
        raise NotFound("no such agent; its sweep may have been deleted")
    return by_id(db, done["sweep_id"])


def any_agent_since(db: sqlite3.Connection, sweep_id: int, moment: str) -> bool:
    """Return whether an agent of the sweep has sent a heartbeat since `moment`."""
    found = db.execute("SELECT 1 FROM agents WHERE sweep_id = ? AND heartbeat_at > ? LIMIT 1", (sweep_id, moment))
    return found.fetchone() is not None


def agents(db: sqlite3.Connection, sweep_id: int) -> list[sqlite3.Row]:
    """Return a sweep's agents, oldest first, with the columns of `agent`."""
    return db.execute(f"{AGENTS} WHERE sweep_id = ? ORDER BY id", (sweep_id,)).fetchall()
