"""Collections of artifacts: sequences, to which runs add versions, and portfolios, which link to versions.

A membership is an artifact's place in a collection, with its version number there. An alias names one membership.
"""

import json
import re
import sqlite3
from collections.abc import Iterable

from mnist_sweep.server import wire_json
from mnist_sweep.server.errors import BadRequest, NotFound
from mnist_sweep.server.store import filters, projects
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.projects import check_name

LATEST = "latest"
_VERSION = re.compile(r"v(\d{1,9})")


def find(db: sqlite3.Connection, project_id: int, name: str) -> sqlite3.Row | None:
    """Return a project's collection of that name, or None."""
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM collections WHERE project_id = ? AND name = ?", (project_id, name)
    ).fetchone()
    return row


def by_id(db: sqlite3.Connection, collection_id: int) -> sqlite3.Row:
    """Return the collection with this row id. Raises `NotFound` if there is none."""
    row: sqlite3.Row | None = db.execute("SELECT * FROM collections WHERE id = ?", (collection_id,)).fetchone()
    if row is None:
        raise NotFound("no such artifact collection; it may have been deleted")
    return row


def get(db: sqlite3.Connection, entity: str, project: str, name: str) -> sqlite3.Row:
    """Return the collection of that name in a project.

    Raises:
        NotFound: there is no such collection.
    """
    return projects.get_within(db, entity, project, name, find, "artifact collection")


def ensure(
    db: sqlite3.Connection, project_id: int, type_name: str, name: str, *, portfolio: bool = False
) -> sqlite3.Row:
    """Return the collection of that name; create it if it is new.

    Raises:
        BadRequest: the collection exists with another type, or the name is unusable.
    """
    row = find(db, project_id, name)
    if row is None:
        check_name(type_name, "the artifact type")
        check_name(name, "the artifact name")
        moment = now()
        db.execute(
            "INSERT INTO collections (project_id, type, name, portfolio, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (project_id, type_name, name, portfolio, moment, moment),
        )
        row = find(db, project_id, name)
        assert row is not None
    elif row["type"] != type_name:
        raise BadRequest(f"artifact {name!r} already exists with type {row['type']!r}, not {type_name!r}")
    return row


def listing(db: sqlite3.Connection, project_id: int, type_name: str | None = None) -> list[sqlite3.Row]:
    """Return a project's collections, or those of a type, newest first."""
    return db.execute(
        "SELECT * FROM collections WHERE project_id = ?1 AND (?2 IS NULL OR type = ?2) ORDER BY id DESC",
        (project_id, type_name),
    ).fetchall()


def types(db: sqlite3.Connection, project_id: int) -> list[sqlite3.Row]:
    """Return the oldest collection of each type in a project, sorted by type."""
    return db.execute(
        "SELECT *, min(id) FROM collections WHERE project_id = ? GROUP BY type ORDER BY type", (project_id,)
    ).fetchall()


def update(
    db: sqlite3.Connection,
    collection_id: int,
    *,
    name: str | None = None,
    description: str | None = None,
    type_name: str | None = None,
    tags: list[str] | None = None,
) -> sqlite3.Row:
    """Set those fields of a collection that are not None, and return the collection."""
    if name is not None:
        check_name(name, "the artifact name")
    if type_name is not None:
        check_name(type_name, "the artifact type")
    db.execute(
        "UPDATE collections SET name = coalesce(?, name), description = coalesce(?, description),"
        " type = coalesce(?, type), tags = coalesce(?, tags), updated_at = ? WHERE id = ?",
        (name, description, type_name, None if tags is None else wire_json.dumps(tags), now(), collection_id),
    )
    return by_id(db, collection_id)


def delete(db: sqlite3.Connection, collection_id: int) -> sqlite3.Row:
    """Remove a collection and its versions; return the removed row."""
    row = by_id(db, collection_id)
    db.execute("DELETE FROM collections WHERE id = ?", (collection_id,))
    return row


def tags(row: sqlite3.Row) -> list[str]:
    """Return the tags of a collection or an artifact."""
    found: list[str] = json.loads(row["tags"])
    return found


# Members


def members(
    db: sqlite3.Connection, collection_id: int, conditions: str | None = None, order: str | None = None
) -> list[sqlite3.Row]:
    """Return a collection's memberships that match a filter (`filters`), by default the newest version first."""
    where, values = filters.where(conditions, filters.VERSION_FIELDS)
    sort, sort_values = filters.order(order or "-version_index", filters.VERSION_FIELDS, "memberships.id")
    return db.execute(
        "SELECT memberships.* FROM memberships JOIN artifacts ON artifacts.id = artifact_id"
        f" WHERE memberships.collection_id = ? AND {where} ORDER BY {sort}",
        (collection_id, *values, *sort_values),
    ).fetchall()


def memberships(db: sqlite3.Connection, artifact_id: int) -> list[sqlite3.Row]:
    """Return an artifact's memberships, oldest first."""
    return db.execute("SELECT * FROM memberships WHERE artifact_id = ? ORDER BY id", (artifact_id,)).fetchall()


def place(db: sqlite3.Connection, collection_id: int, artifact_id: int) -> sqlite3.Row | None:
    """Return an artifact's membership in a collection, or None."""
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM memberships WHERE collection_id = ? AND artifact_id = ?", (collection_id, artifact_id)
    ).fetchone()
    return row


def member(db: sqlite3.Connection, collection_id: int, alias: str) -> sqlite3.Row | None:
    """Return the membership that a version (`v3`), an alias or a digest names, or None."""
    version = _VERSION.fullmatch(alias)
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM memberships WHERE collection_id = ?1 AND (version = ?2 OR artifact_id IN"
        " (SELECT artifact_id FROM aliases WHERE collection_id = ?1 AND alias = ?3"
        " UNION SELECT id FROM artifacts WHERE collection_id = ?1 AND digest = ?3)) ORDER BY version DESC",
        (collection_id, int(version[1]) if version else None, alias),
    ).fetchone()
    return row


def find_member(db: sqlite3.Connection, project_id: int, name: str) -> sqlite3.Row | None:
    """Return the membership that `collection:alias` names, or None. Without an alias, it is the latest one."""
    collection_name, _, alias = name.rpartition("/")[2].partition(":")
    row = find(db, project_id, collection_name)
    return None if row is None else member(db, row["id"], alias or LATEST)


def join(db: sqlite3.Connection, collection_id: int, artifact_id: int) -> None:
    """Make an artifact the next version of a collection. Version numbers are never reused."""
    version = db.execute(
        "UPDATE collections SET versions = versions + 1, updated_at = ? WHERE id = ? RETURNING versions - 1",
        (now(), collection_id),
    ).fetchone()[0]
    db.execute(
        "INSERT INTO memberships (collection_id, artifact_id, version, created_at) VALUES (?, ?, ?, ?)",
        (collection_id, artifact_id, version, now()),
    )


def leave(db: sqlite3.Connection, collection_id: int, artifact_id: int) -> None:
    """Remove an artifact's membership in a collection, and its aliases there."""
    for table in ("aliases", "memberships"):
        db.execute(f"DELETE FROM {table} WHERE collection_id = ? AND artifact_id = ?", (collection_id, artifact_id))


# Aliases


def aliases(
    db: sqlite3.Connection, *, collection_id: int | None = None, artifact_id: int | None = None
) -> list[sqlite3.Row]:
    """Return the aliases in a collection, of an artifact, or both; oldest first."""
    return db.execute(
        "SELECT * FROM aliases WHERE (?1 IS NULL OR collection_id = ?1) AND (?2 IS NULL OR artifact_id = ?2)"
        " ORDER BY id",
        (collection_id, artifact_id),
    ).fetchall()


def set_aliases(db: sqlite3.Connection, collection_id: int, artifact_id: int, names: Iterable[str]) -> None:
    """Let aliases name an artifact. Each alias names one version, and moves if it named another."""
    for alias in names:
        if _VERSION.fullmatch(alias):
            raise BadRequest(f"{alias!r} is a version number and cannot be given as an alias")
        check_name(alias, "the alias")
        db.execute(
            "INSERT INTO aliases (collection_id, alias, artifact_id) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET artifact_id = excluded.artifact_id",
            (collection_id, alias, artifact_id),
        )


def drop_aliases(db: sqlite3.Connection, collection_id: int, artifact_id: int, names: Iterable[str]) -> None:
    """Remove aliases of an artifact in a collection."""
    db.executemany(
        "DELETE FROM aliases WHERE collection_id = ? AND artifact_id = ? AND alias = ?",
        [(collection_id, artifact_id, alias) for alias in names],
    )
