"""Saved views of a project (reports and workspaces), stored as their authors' tools wrote them."""

import sqlite3
from typing import Any

from mnist_sweep.server.errors import NotFound
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.columns import set_columns

_COLUMNS = {"type", "name", "display_name", "description", "spec", "updated_at"}


def by_id(db: sqlite3.Connection, view_id: int) -> sqlite3.Row:
    """Return a view. Raises `NotFound` if there is none."""
    row: sqlite3.Row | None = db.execute("SELECT * FROM views WHERE id = ?", (view_id,)).fetchone()
    if row is None:
        raise NotFound("no such report or view")
    return row


def create(db: sqlite3.Connection, project_id: int, type_name: str, name: str, spec: str) -> int:
    """Create a view and return its row id."""
    moment = now()
    cursor = db.execute(
        "INSERT INTO views (project_id, type, name, spec, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)",
        (project_id, type_name, name, spec, moment, moment),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def update(db: sqlite3.Connection, view_id: int, **fields: Any) -> None:
    """Set columns of a view: type, name, display_name, description, spec."""
    set_columns(db, "views", view_id, _COLUMNS, {"updated_at": now(), **fields})


def delete(db: sqlite3.Connection, view_id: int) -> None:
    """Remove a view."""
    db.execute("DELETE FROM views WHERE id = ?", (view_id,))


def listing(
    db: sqlite3.Connection, project_id: int, type_name: str | None = None, name: str | None = None
) -> list[sqlite3.Row]:
    """Return a project's views, newest first."""
    return db.execute(
        "SELECT * FROM views WHERE project_id = ?1 AND (?2 IS NULL OR type = ?2 OR type = ?2 || '/draft')"
        " AND (?3 IS NULL OR name = ?3) ORDER BY id DESC",
        (project_id, type_name, name),
    ).fetchall()
