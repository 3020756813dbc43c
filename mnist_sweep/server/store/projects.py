"""Projects, each identified by an entity and a name."""

import re
import sqlite3
from typing import TypedDict

from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.rows import Project

_UNFIT = re.compile(r"[/\\#?%:\x00-\x1f]")


class Activity(TypedDict):
    """What a project holds."""

    runs: int
    sweeps: int
    active: str | None
    """When a run last changed; None without runs."""


def check_name(value: str, what: str, limit: int = 128) -> str:
    """Return the name if it can appear in an address; `what` describes it in the error.

    Raise BadRequest if the name is empty, too long, or holds a character that has a meaning in addresses.
    """
    if not value or len(value) > limit or _UNFIT.search(value) or value in {".", ".."}:
        raise BadRequest(f"{what} {value[:200]!r} is not usable: 1 to {limit} characters, none of / \\ # ? % : ")
    return value


def ensure(db: sqlite3.Connection, entity: str, name: str, description: str | None = None) -> Project:
    """Return the project of that name; create it if it is new."""
    if (row := Project.find(db, entity, name)) is not None:
        return row
    check_name(entity, "the entity")
    check_name(name, "the project name")
    return Project.by_id(db, Project.insert(db, entity=entity, name=name, description=description, created_at=now()))


def listing(db: sqlite3.Connection, entity: str | None = None) -> list[Project]:
    """Return all projects, or those of an entity, newest first."""
    return Project.all(db, "WHERE ?1 IS NULL OR entity = ?1 ORDER BY id DESC", entity)


def activity(db: sqlite3.Connection, project_id: int) -> Activity:
    """Count what a project holds."""
    runs, active, sweeps = db.execute(
        "SELECT count(*), max(updated_at), (SELECT count(*) FROM sweeps WHERE project_id = ?1)"
        " FROM runs WHERE project_id = ?1",
        (project_id,),
    ).fetchone()
    return Activity(runs=runs, sweeps=sweeps, active=active)
