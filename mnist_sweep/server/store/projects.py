"""Projects, each identified by an entity and a name."""

import re
import sqlite3
from collections.abc import Callable
from typing import TypedDict

from mnist_sweep.server.errors import BadRequest, NotFound
from mnist_sweep.server.store.clock import now

_UNFIT = re.compile(r"[/\\#?%:\x00-\x1f]")


class Activity(TypedDict):
    """What a project holds."""

    runs: int
    sweeps: int
    active: str | None
    """When a run last changed; None without runs."""


def check_name(value: str, what: str, limit: int = 128) -> str:
    """Return the name if it can appear in an address; `what` describes it in the error.

    Raises:
        BadRequest: the name is empty, too long, or holds a character that has a meaning in addresses.
    """
    if not value or len(value) > limit or _UNFIT.search(value) or value in {".", ".."}:
        raise BadRequest(f"{what} {value[:200]!r} is not usable: 1 to {limit} characters, none of / \\ # ? % : ")
    return value


def find(db: sqlite3.Connection, entity: str, name: str) -> sqlite3.Row | None:
    """Return the project of that name, or None."""
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM projects WHERE entity = ? AND name = ?", (entity, name)
    ).fetchone()
    return row


def get(db: sqlite3.Connection, entity: str, name: str) -> sqlite3.Row:
    """Return the project of that name.

    Raises:
        NotFound: there is no such project.
    """
    if (row := find(db, entity, name)) is None:
        raise NotFound(f"no project {name[:100]!r} of {entity[:100]!r}")
    return row


def get_within(
    db: sqlite3.Connection,
    entity: str,
    project: str,
    name: str,
    find_in: Callable[[sqlite3.Connection, int, str], sqlite3.Row | None],
    what: str,
) -> sqlite3.Row:
    """Return the row that `find_in` finds by its name in a project.

    Args:
        find_in: gets the project's row id and the name.
        what: the kind of thing, for the error.

    Raises:
        NotFound: there is no such row, or no such project.
    """
    known = find(db, entity, project)
    row = None if known is None else find_in(db, known["id"], name)
    if row is None:
        raise NotFound(f"no {what} {name[:100]!r} in {entity[:100]}/{project[:100]}; it may have been deleted")
    return row


def by_id(db: sqlite3.Connection, project_id: int) -> sqlite3.Row:
    """Return the project with this row id, which must exist."""
    row: sqlite3.Row = db.execute("SELECT * FROM projects WHERE id = ?", (project_id,)).fetchone()
    return row


def ensure(db: sqlite3.Connection, entity: str, name: str, description: str | None = None) -> sqlite3.Row:
    """Return the project of that name; create it if it is new."""
    if (row := find(db, entity, name)) is None:
        check_name(entity, "the entity")
        check_name(name, "the project name")
        db.execute(
            "INSERT INTO projects (entity, name, description, created_at) VALUES (?, ?, ?, ?)",
            (entity, name, description, now()),
        )
        row = find(db, entity, name)
        assert row is not None
    return row


def listing(db: sqlite3.Connection, entity: str | None = None) -> list[sqlite3.Row]:
    """Return all projects, or those of an entity, newest first."""
    where, values = ("WHERE entity = ?", (entity,)) if entity else ("", ())
    return db.execute(f"SELECT * FROM projects {where} ORDER BY id DESC", values).fetchall()


def activity(db: sqlite3.Connection, project_id: int) -> Activity:
    """Count what a project holds."""
    runs, active, sweeps = db.execute(
        "SELECT count(*), max(updated_at), (SELECT count(*) FROM sweeps WHERE project_id = ?1)"
        " FROM runs WHERE project_id = ?1",
        (project_id,),
    ).fetchone()
    return Activity(runs=runs, sweeps=sweeps, active=active)


def delete(db: sqlite3.Connection, project_id: int) -> None:
    """Remove a project and everything in it."""
    db.execute("DELETE FROM projects WHERE id = ?", (project_id,))
