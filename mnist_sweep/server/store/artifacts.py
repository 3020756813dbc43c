"""Artifacts: versions of named collections, their manifests, files and aliases.

An artifact is PENDING while its files arrive and COMMITTED once its manifest and every file in it are here; only then
does it get a version number and its aliases.
"""

import base64
import json
import re
import sqlite3
from collections.abc import Iterable
from typing import Any

from mnist_sweep.server import jsonedge
from mnist_sweep.server.store.blobs import Blob, Blobs
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.errors import BadRequest, NotFound
from mnist_sweep.server.store.projects import check_name

_VERSION = re.compile(r"v(\d{1,9})")
_MANIFEST_LIMIT = 100_000_000
LATEST = "latest"


def collection(db: sqlite3.Connection, project_id: int, name: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM collections WHERE project_id = ? AND name = ?", (project_id, name)
    ).fetchone()
    return row


def ensure_collection(
    db: sqlite3.Connection, project_id: int, type_name: str, name: str, *, portfolio: bool = False
) -> sqlite3.Row:
    """The collection of that name, created if it is new.

    Raises:
        BadRequest: it exists with another type, or the name is unusable.
    """
    row = collection(db, project_id, name)
    if row is None:
        moment = now()
        db.execute(
            "INSERT INTO collections (project_id, type, name, portfolio, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                project_id,
                check_name(type_name, "the artifact type"),
                check_name(name, "the artifact name"),
                portfolio,
                moment,
                moment,
            ),
        )
        row = collection(db, project_id, name)
        assert row is not None
    elif row["type"] != type_name:
        raise BadRequest(f"artifact {name!r} already exists with type {row['type']!r}, not {type_name!r}")
    return row


def create(
    db: sqlite3.Connection,
    collection_id: int,
    *,
    digest: str,
    reuse: bool = False,
    aliases: Iterable[str] = (),
    tags: Iterable[str] = (),
    **columns: Any,
) -> int:
    """A pending artifact; returns its row id.

    The same `client_id` again gives the same artifact, and with `reuse` so does the digest of a committed one.
    """
    row = None
    if columns.get("client_id"):
        row = db.execute(
            "SELECT id FROM artifacts WHERE client_id = ? AND collection_id = ?",
            (columns["client_id"], collection_id),
        ).fetchone()
    if row is None and reuse:
        row = db.execute(
            "SELECT id FROM artifacts WHERE collection_id = ? AND digest = ? AND state = 'COMMITTED' ORDER BY id DESC",
            (collection_id, digest),
        ).fetchone()
        if row is not None:
            set_aliases(db, collection_id, row[0], [LATEST, *aliases])
    if row is not None:
        return int(row[0])
    moment = now()
    values = {
        "collection_id": collection_id,
        "state": "PENDING",
        "digest": digest,
        "aliases": jsonedge.dumps(list(aliases)),
        "tags": jsonedge.dumps(list(tags)),
        "created_at": moment,
        "updated_at": moment,
        **columns,
    }
    cursor = db.execute(
        f"INSERT INTO artifacts ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})",
        tuple(values.values()),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def by_id(db: sqlite3.Connection, artifact_id: int) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute("SELECT * FROM artifacts WHERE id = ?", (artifact_id,)).fetchone()
    if row is None:
        raise NotFound("no such artifact")
    return row


def put_manifest(db: sqlite3.Connection, artifact_id: int, name: str, digest: str | None, type_name: str) -> int:
    """Announce (or replace) an artifact's manifest; returns its row id."""
    if by_id(db, artifact_id)["state"] == "COMMITTED":
        raise BadRequest("this artifact version is committed and cannot change any more")
    return int(
        db.execute(
            "INSERT INTO manifests (artifact_id, name, digest, type) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (artifact_id, type) DO UPDATE SET name = excluded.name, digest = excluded.digest"
            " RETURNING id",
            (artifact_id, name, digest, type_name),
        ).fetchone()[0]
    )


def fill_manifest(db: sqlite3.Connection, manifest_id: int, blob: Blob) -> bool:
    done = db.execute("UPDATE manifests SET blob = ?, size = ? WHERE id = ?", (blob.key, blob.size, manifest_id))
    return done.rowcount == 1


def manifest(db: sqlite3.Connection, artifact_id: int) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM manifests WHERE artifact_id = ? ORDER BY id DESC", (artifact_id,)
    ).fetchone()
    return row


def announce_file(db: sqlite3.Connection, artifact_id: int, name: str, digest: str) -> sqlite3.Row:
    """Make room for a file of a pending artifact. Contents announced under another digest are forgotten."""
    row: sqlite3.Row = db.execute(
        "INSERT INTO artifact_files (artifact_id, name, digest) VALUES (?, ?, ?)"
        " ON CONFLICT (artifact_id, name) DO UPDATE SET"
        " blob = CASE WHEN digest = excluded.digest THEN blob END, digest = excluded.digest RETURNING *",
        (artifact_id, name[:4096], digest),
    ).fetchone()
    return row


def fill_file(db: sqlite3.Connection, file_id: int, blob: Blob) -> bool:
    done = db.execute("UPDATE artifact_files SET blob = ?, size = ? WHERE id = ?", (blob.key, blob.size, file_id))
    return done.rowcount == 1


def commit(db: sqlite3.Connection, blobs: Blobs, artifact_id: int) -> None:
    """Make a pending artifact a version of its collection.

    Raises:
        BadRequest: its manifest or one of its files has not arrived.
    """
    artifact = by_id(db, artifact_id)
    if artifact["state"] == "COMMITTED":
        return
    size = 0
    contents = _contents(db, blobs, artifact_id)
    for name, entry in contents.items():
        size += _settle(db, artifact_id, name, entry)
    collection_id = artifact["collection_id"]
    db.execute(
        "UPDATE artifacts SET state = 'COMMITTED', size = ?, file_count = ?, updated_at = ? WHERE id = ?",
        (size, len(contents), now(), artifact_id),
    )
    join(db, collection_id, artifact_id)
    set_aliases(db, collection_id, artifact_id, [LATEST, *json.loads(artifact["aliases"])])


def join(db: sqlite3.Connection, collection_id: int, artifact_id: int) -> None:
    """Make an artifact the next version of a collection; version numbers are never used twice."""
    version = db.execute(
        "UPDATE collections SET versions = versions + 1, updated_at = ? WHERE id = ? RETURNING versions - 1",
        (now(), collection_id),
    ).fetchone()[0]
    db.execute(
        "INSERT INTO memberships (collection_id, artifact_id, version, created_at) VALUES (?, ?, ?, ?)",
        (collection_id, artifact_id, version, now()),
    )


def _contents(db: sqlite3.Connection, blobs: Blobs, artifact_id: int) -> dict[str, Any]:
    row = manifest(db, artifact_id)
    if row is None or row["blob"] is None:
        raise BadRequest("the artifact's manifest has not been uploaded")
    if row["size"] > _MANIFEST_LIMIT:
        raise BadRequest(f"the artifact's manifest has {row['size']} bytes, over {_MANIFEST_LIMIT}")
    try:
        contents = jsonedge.loads(blobs.path(row["blob"]).read_bytes())["contents"]
        if not all(isinstance(entry, dict) for entry in contents.values()):
            raise TypeError
    except (ValueError, TypeError, KeyError, AttributeError):
        raise BadRequest("the artifact's manifest is not a JSON object with contents") from None
    assert isinstance(contents, dict)
    return contents


def _settle(db: sqlite3.Connection, artifact_id: int, name: str, entry: dict[str, Any]) -> int:
    """Check that a manifest entry's contents are here, or find them in an earlier version; returns its size."""
    digest, size = str(entry.get("digest", "")), entry.get("size")
    size = size if isinstance(size, int) and 0 <= size < 2**60 else 0
    if (ref := entry.get("ref")) is not None:
        db.execute(
            "INSERT OR REPLACE INTO artifact_files (artifact_id, name, digest, ref, size) VALUES (?, ?, ?, ?, ?)",
            (artifact_id, name, digest, str(ref), size),
        )
        return size
    row = db.execute(
        "SELECT blob FROM artifact_files WHERE artifact_id = ? AND name = ? AND digest = ?",
        (artifact_id, name, digest),
    ).fetchone()
    if row is None or row[0] is None:
        row = db.execute(
            "SELECT artifact_files.blob FROM artifact_files JOIN artifacts"
            " ON artifacts.id = artifact_files.artifact_id WHERE artifact_files.digest = ? AND blob IS NOT NULL"
            " AND collection_id = (SELECT collection_id FROM artifacts WHERE id = ?)",
            (digest, artifact_id),
        ).fetchone()
        if row is None:
            raise BadRequest(f"the artifact's file {name[:200]!r} has not been uploaded")
        db.execute(
            "INSERT OR REPLACE INTO artifact_files (artifact_id, name, digest, blob, size) VALUES (?, ?, ?, ?, ?)",
            (artifact_id, name, digest, row[0], size),
        )
    return size


def set_aliases(db: sqlite3.Connection, collection_id: int, artifact_id: int, aliases: Iterable[str]) -> None:
    """Point names at an artifact; each name points at one version only."""
    for alias in aliases:
        if _VERSION.fullmatch(alias):
            raise BadRequest(f"{alias!r} is a version number and cannot be given as an alias")
        check_name(alias, "the alias")
        db.execute(
            "INSERT INTO aliases (collection_id, alias, artifact_id) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET artifact_id = excluded.artifact_id",
            (collection_id, alias, artifact_id),
        )


def drop_aliases(db: sqlite3.Connection, collection_id: int, artifact_id: int, aliases: Iterable[str]) -> None:
    db.executemany(
        "DELETE FROM aliases WHERE collection_id = ? AND artifact_id = ? AND alias = ?",
        [(collection_id, artifact_id, alias) for alias in aliases],
    )


def membership(db: sqlite3.Connection, collection_id: int, alias: str) -> sqlite3.Row | None:
    """The collection's member that a version (`v3`), an alias or a digest names."""
    version = _VERSION.fullmatch(alias)
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM memberships WHERE collection_id = ?1 AND (version = ?2 OR artifact_id IN"
        " (SELECT artifact_id FROM aliases WHERE collection_id = ?1 AND alias = ?3"
        " UNION SELECT id FROM artifacts WHERE collection_id = ?1 AND digest = ?3)) ORDER BY version DESC",
        (collection_id, int(version[1]) if version else None, alias),
    ).fetchone()
    return row


def find(db: sqlite3.Connection, project_id: int, name: str) -> sqlite3.Row | None:
    """The membership that `collection:alias` names; without an alias, the latest."""
    collection_name, _, alias = name.rpartition("/")[2].partition(":")
    row = collection(db, project_id, collection_name)
    return None if row is None else membership(db, row["id"], alias or LATEST)


def files(db: sqlite3.Connection, artifact_id: int, names: list[str] | None = None) -> list[sqlite3.Row]:
    """An artifact's files with contents or a reference, by name; with `names`, those, in that order."""
    rows = db.execute(
        "SELECT * FROM artifact_files WHERE artifact_id = ? AND (blob IS NOT NULL OR ref IS NOT NULL) ORDER BY name",
        (artifact_id,),
    ).fetchall()
    if names:
        found = {row["name"]: row for row in rows}
        rows = [found[name] for name in names if name in found]
    return rows


def logged(db: sqlite3.Connection, run_id: int, type_name: str) -> list[dict[str, str]]:
    """For each artifact of this type that a run logged, the newest first: its files' names and their blobs' keys."""
    found = db.execute(
        "SELECT artifacts.id FROM artifacts JOIN collections ON collections.id = artifacts.collection_id"
        " WHERE artifacts.run_id = ? AND collections.type = ? AND artifacts.state = 'COMMITTED'"
        " ORDER BY artifacts.id DESC",
        (run_id, type_name),
    ).fetchall()
    return [{row["name"]: row["blob"] for row in files(db, key) if row["blob"]} for (key,) in found]


def file_by_digest(db: sqlite3.Connection, entity: str, digest: str) -> sqlite3.Row | None:
    """A file with contents of an entity's artifacts, by the hexadecimal form of its digest.

    Raises:
        BadRequest: not hexadecimal.
    """
    try:
        wanted = base64.b64encode(bytes.fromhex(digest)).decode()
    except ValueError:
        raise BadRequest(f"{digest[:100]!r} is not a digest") from None
    row: sqlite3.Row | None = db.execute(
        "SELECT artifact_files.* FROM artifact_files JOIN artifacts ON artifacts.id = artifact_id"
        " JOIN collections ON collections.id = collection_id JOIN projects ON projects.id = project_id"
        " WHERE artifact_files.digest = ? AND artifact_files.blob IS NOT NULL AND projects.entity = ?",
        (wanted, entity),
    ).fetchone()
    return row


def delete(db: sqlite3.Connection, artifact_id: int, *, with_aliases: bool) -> None:
    """Remove a version; one that aliases still name only with `with_aliases`."""
    named = db.execute(
        "SELECT alias FROM aliases WHERE artifact_id = ? AND alias != ?", (artifact_id, LATEST)
    ).fetchall()
    if named and not with_aliases:
        raise BadRequest(f"the artifact still has aliases: {', '.join(row[0] for row in named)}")
    members = db.execute(
        "SELECT DISTINCT collection_id FROM aliases WHERE artifact_id = ? AND alias = ?",
        (artifact_id, LATEST),
    ).fetchall()
    db.execute("DELETE FROM artifacts WHERE id = ?", (artifact_id,))
    for (collection_id,) in members:
        last = db.execute(
            "SELECT artifact_id FROM memberships WHERE collection_id = ? ORDER BY version DESC",
            (collection_id,),
        ).fetchone()
        if last is not None:
            set_aliases(db, collection_id, last[0], [LATEST])
