"""Collections of artifacts: sequences, to which runs add versions, and portfolios, which link to versions.

A membership is an artifact's place in a collection, with its version number there. An alias names one membership.
"""

import re
import sqlite3
from collections.abc import Iterable

from mnist_sweep.server import wire_json
from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.store import filters
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.projects import check_name
from mnist_sweep.server.store.rows import Alias, Collection, Membership

LATEST = "latest"
_VERSION = re.compile(r"v(\d{1,9})")


def ensure(
    db: sqlite3.Connection, project_id: int, type_name: str, name: str, *, portfolio: bool = False
) -> Collection:
    """Return the collection of that name; create it if it is new.

    Raise BadRequest if the collection exists with another type, or the name is unusable.
    """
    row = Collection.find(db, project_id, name)
    if row is None:
        check_name(type_name, "the artifact type")
        check_name(name, "the artifact name")
        values = {"project_id": project_id, "type": type_name, "name": name, "portfolio": portfolio}
        return Collection.by_id(db, Collection.insert(db, **values, created_at=now(), updated_at=now()))
    if row.type != type_name:
        raise BadRequest(f"artifact {name!r} already exists with type {row.type!r}, not {type_name!r}")
    return row


def listing(db: sqlite3.Connection, project_id: int, type_name: str | None = None) -> list[Collection]:
    """Return a project's collections, or those of a type, newest first."""
    where = "WHERE project_id = ?1 AND (?2 IS NULL OR type = ?2) ORDER BY id DESC"
    return Collection.all(db, where, project_id, type_name)


def types(db: sqlite3.Connection, project_id: int) -> list[Collection]:
    """Return the oldest collection of each type in a project, sorted by type."""
    oldest = "SELECT min(id) FROM collections WHERE project_id = ? GROUP BY type"
    return Collection.all(db, f"WHERE id IN ({oldest}) ORDER BY type", project_id)


def update(
    db: sqlite3.Connection,
    collection_id: int,
    *,
    name: str | None = None,
    description: str | None = None,
    type_name: str | None = None,
    tags: list[str] | None = None,
) -> Collection:
    """Set those fields of a collection that are not None, and return the collection."""
    if name is not None:
        check_name(name, "the artifact name")
    if type_name is not None:
        check_name(type_name, "the artifact type")
    text = None if tags is None else wire_json.dumps(tags)
    values = {"name": name, "description": description, "type": type_name, "tags": text, "updated_at": now()}
    Collection.set(db, collection_id, **{column: value for column, value in values.items() if value is not None})
    return Collection.by_id(db, collection_id)


# Members


def members(
    db: sqlite3.Connection, collection_id: int, conditions: str | None = None, order: str | None = None
) -> list[Membership]:
    """Return a collection's memberships that match a filter (`filters`), by default the newest version first."""
    where, values = filters.where(conditions, filters.VERSION_FIELDS)
    sort, sort_values = filters.order(order or "-version_index", filters.VERSION_FIELDS, "memberships.id")
    rest = f"JOIN artifacts ON artifacts.id = artifact_id WHERE memberships.collection_id = ? AND {where}"
    return Membership.all(db, f"{rest} ORDER BY {sort}", collection_id, *values, *sort_values)


def memberships(db: sqlite3.Connection, artifact_id: int) -> list[Membership]:
    """Return an artifact's memberships, oldest first."""
    return Membership.all(db, "WHERE artifact_id = ? ORDER BY id", artifact_id)


def place(db: sqlite3.Connection, collection_id: int, artifact_id: int) -> Membership | None:
    """Return an artifact's membership in a collection, or None."""
    return Membership.first(db, "WHERE collection_id = ? AND artifact_id = ?", collection_id, artifact_id)


def member(db: sqlite3.Connection, collection_id: int, alias: str) -> Membership | None:
    """Return the membership that a version (`v3`), an alias or a digest names, or None."""
    version = _VERSION.fullmatch(alias)
    return Membership.first(
        db,
        "WHERE collection_id = ?1 AND (version = ?2 OR artifact_id IN"
        " (SELECT artifact_id FROM aliases WHERE collection_id = ?1 AND alias = ?3"
        " UNION SELECT id FROM artifacts WHERE collection_id = ?1 AND digest = ?3)) ORDER BY version DESC",
        collection_id,
        int(version[1]) if version else None,
        alias,
    )


def find_member(db: sqlite3.Connection, project_id: int, name: str) -> Membership | None:
    """Return the membership that `collection:alias` names, or None. Without an alias, it is the latest one."""
    collection_name, _, alias = name.rpartition("/")[2].partition(":")
    row = Collection.find(db, project_id, collection_name)
    return None if row is None else member(db, row.id, alias or LATEST)


def join(db: sqlite3.Connection, collection_id: int, artifact_id: int) -> None:
    """Make an artifact the next version of a collection. Version numbers are never reused."""
    version = Collection.by_id(db, collection_id).versions
    Collection.set(db, collection_id, versions=version + 1, updated_at=now())
    Membership.insert(db, collection_id=collection_id, artifact_id=artifact_id, version=version, created_at=now())


def leave(db: sqlite3.Connection, collection_id: int, artifact_id: int) -> None:
    """Remove an artifact's membership in a collection, and its aliases there."""
    for table in ("aliases", "memberships"):
        db.execute(f"DELETE FROM {table} WHERE collection_id = ? AND artifact_id = ?", (collection_id, artifact_id))


# Aliases


def aliases(db: sqlite3.Connection, *, collection_id: int | None = None, artifact_id: int | None = None) -> list[Alias]:
    """Return the aliases in a collection, of an artifact, or both; oldest first."""
    where = "WHERE (?1 IS NULL OR collection_id = ?1) AND (?2 IS NULL OR artifact_id = ?2) ORDER BY id"
    return Alias.all(db, where, collection_id, artifact_id)


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
