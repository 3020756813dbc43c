"""Saved views of a project (reports and workspaces), stored as their authors' tools wrote them."""

import sqlite3

from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.rows import View


def create(db: sqlite3.Connection, project_id: int, type_name: str, name: str, spec: str) -> int:
    """Create a view and return its row id."""
    values = {"project_id": project_id, "type": type_name, "name": name, "spec": spec}
    return View.insert(db, **values, created_at=now(), updated_at=now())


def listing(
    db: sqlite3.Connection, project_id: int, type_name: str | None = None, name: str | None = None
) -> list[View]:
    """Return a project's views, newest first."""
    return View.all(
        db,
        "WHERE project_id = ?1 AND (?2 IS NULL OR type = ?2 OR type = ?2 || '/draft') AND (?3 IS NULL OR name = ?3)"
        " ORDER BY id DESC",
        project_id,
        type_name,
        name,
    )
