"""Artifacts: versions of named collections, with their manifests, files and aliases.

An artifact is PENDING while its files arrive. It is COMMITTED once its manifest and all files in it have arrived, and
then gets its version number and aliases.
"""

import base64
import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from mnist_sweep.server import wire_json
from mnist_sweep.server.errors import BadRequest, NotFound
from mnist_sweep.server.store import collections, manifests, runs
from mnist_sweep.server.store.blobs import Blobs
from mnist_sweep.server.store.clock import now


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
    """Create a pending artifact, or find an existing one; return its row id.

    An existing artifact with the same `client_id` is returned, or a pending one with the same `distributed_id`. With
    `reuse`, so is a committed one with the same digest. It becomes an output of this run too, and gets the aliases.
    """
    known = _known(db, collection_id, digest if reuse else None, columns)
    if known is not None:
        if columns.get("run_id") not in (None, known["run_id"]):
            output = (columns["run_id"], known["id"])
            db.execute("INSERT OR IGNORE INTO artifact_outputs (run_id, artifact_id) VALUES (?, ?)", output)
        if known["state"] == "PENDING":
            wanted = list(dict.fromkeys([*json.loads(known["aliases"]), *aliases]))
            db.execute("UPDATE artifacts SET aliases = ? WHERE id = ?", (wire_json.dumps(wanted), known["id"]))
        elif known["client_id"] != columns.get("client_id"):
            latest = [collections.LATEST] if columns.get("client_id") else []  # only if it is sent, not just named
            collections.set_aliases(db, collection_id, known["id"], [*latest, *aliases])
            if client_id := columns.get("client_id"):
                db.execute("INSERT OR IGNORE INTO artifact_client_ids VALUES (?, ?)", (client_id, known["id"]))
        return int(known["id"])
    moment = now()
    values = {
        "collection_id": collection_id,
        "state": "PENDING",
        "digest": digest,
        "aliases": wire_json.dumps(list(aliases)),
        "tags": wire_json.dumps(list(tags)),
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


def _known(db: sqlite3.Connection, collection_id: int, digest: str | None, columns: dict[str, Any]) -> Any:
    same = {
        "client_id = ?": columns.get("client_id"),
        "state = 'PENDING' AND distributed_id = ?": columns.get("distributed_id"),
        "state = 'COMMITTED' AND digest = ?": digest,
    }
    for condition, value in same.items():
        select = f"SELECT * FROM artifacts WHERE collection_id = ? AND {condition} ORDER BY id DESC"
        if value and (row := db.execute(select, (collection_id, value)).fetchone()) is not None:
            return row
    return None


def by_id(db: sqlite3.Connection, artifact_id: int) -> sqlite3.Row:
    """Return the artifact with this row id. Raises `NotFound` if there is none."""
    row: sqlite3.Row | None = db.execute("SELECT * FROM artifacts WHERE id = ?", (artifact_id,)).fetchone()
    if row is None:
        raise NotFound("no such artifact")
    return row


def by_client_id(db: sqlite3.Connection, client_id: str) -> sqlite3.Row | None:
    """Return the newest artifact that a client knows by an id of its own, or None."""
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM artifacts WHERE client_id = ?1"
        " OR id = (SELECT artifact_id FROM artifact_client_ids WHERE client_id = ?1) ORDER BY id DESC",
        (client_id,),
    ).fetchone()
    return row


def update(db: sqlite3.Connection, artifact_id: int, tags: list[str], **fields: Any) -> None:
    """Set the tags, and those of description, metadata (JSON) and ttl_seconds that are not None."""
    given = {column: value for column, value in fields.items() if value is not None}
    values = {"tags": wire_json.dumps(tags), "updated_at": now(), **given}
    columns = ", ".join(f"{column} = ?" for column in values)
    db.execute(f"UPDATE artifacts SET {columns} WHERE id = ?", (*values.values(), artifact_id))


def made_by(db: sqlite3.Connection, run_id: int) -> list[sqlite3.Row]:
    """Return the versions that a run logged, oldest first."""
    return db.execute(
        "SELECT * FROM artifacts WHERE state = 'COMMITTED' AND (run_id = ?1"
        " OR id IN (SELECT artifact_id FROM artifact_outputs WHERE run_id = ?1)) ORDER BY id",
        (run_id,),
    ).fetchall()


def delete_made_by(db: sqlite3.Connection, run_id: int) -> None:
    """Remove the artifacts that a run logged."""
    db.execute("DELETE FROM artifacts WHERE run_id = ?", (run_id,))


def use(db: sqlite3.Connection, run_id: int, artifact_id: int) -> None:
    """Record that a run uses an artifact."""
    db.execute("INSERT OR IGNORE INTO artifact_uses (run_id, artifact_id) VALUES (?, ?)", (run_id, artifact_id))


def used_by(db: sqlite3.Connection, run_id: int) -> list[sqlite3.Row]:
    """Return the artifacts that a run uses, oldest first."""
    return db.execute(
        "SELECT artifacts.* FROM artifacts JOIN artifact_uses ON artifact_id = artifacts.id"
        " WHERE artifact_uses.run_id = ? ORDER BY artifacts.id",
        (run_id,),
    ).fetchall()


def users_of(db: sqlite3.Connection, artifact_id: int) -> list[sqlite3.Row]:
    """Return the runs that use an artifact, oldest first."""
    return db.execute(
        f"{runs.SELECT} JOIN artifact_uses ON run_id = runs.id WHERE artifact_id = ? ORDER BY runs.id", (artifact_id,)
    ).fetchall()


def _check_pending(db: sqlite3.Connection, artifact_id: int) -> None:
    if by_id(db, artifact_id)["state"] == "COMMITTED":
        raise BadRequest("this artifact version is committed and can no longer change")


def put_manifest(db: sqlite3.Connection, artifact_id: int, name: str, digest: str | None, kind: str) -> int:
    """Announce a manifest of a pending artifact; return its row id."""
    _check_pending(db, artifact_id)
    return manifests.announce(db, artifact_id, name, digest, kind)


def update_manifest(db: sqlite3.Connection, manifest: sqlite3.Row, digest: str | None) -> None:
    """Change the announced digest of a pending artifact's manifest."""
    _check_pending(db, manifest["artifact_id"])
    db.execute("UPDATE manifests SET digest = ? WHERE id = ?", (digest, manifest["id"]))


def announce_file(db: sqlite3.Connection, artifact_id: int, name: str, digest: str) -> sqlite3.Row:
    """Create the row of a pending artifact's file and return it. Contents with another digest are dropped."""
    _check_pending(db, artifact_id)
    row: sqlite3.Row = db.execute(
        "INSERT INTO artifact_files (artifact_id, name, digest) VALUES (?, ?, ?)"
        " ON CONFLICT (artifact_id, name) DO UPDATE SET"
        " blob = CASE WHEN digest = excluded.digest THEN blob END, digest = excluded.digest RETURNING *",
        (artifact_id, name[:4096], digest),
    ).fetchone()
    return row


def commit(db: sqlite3.Connection, blobs: Blobs, artifact_id: int) -> None:
    """Make a pending artifact a version of its collection.

    Raises:
        BadRequest: the manifest or one of its files has not arrived.
    """
    artifact = by_id(db, artifact_id)
    if artifact["state"] == "COMMITTED":
        return
    collection_id = artifact["collection_id"]
    latest = collections.member(db, collection_id, collections.LATEST)
    entries, merged = manifests.complete(db, blobs, artifact_id, None if latest is None else latest["artifact_id"])
    size = sum(_settle(db, artifact_id, name, entry) for name, entry in entries.items())
    known = artifact["digest_algorithm"] in (None, "MANIFEST_MD5")
    digest = manifests.digest(entries) if merged and known else artifact["digest"]
    db.execute(
        "UPDATE artifacts SET state = 'COMMITTED', digest = ?, size = ?, file_count = ?, updated_at = ? WHERE id = ?",
        (digest, size, len(entries), now(), artifact_id),
    )
    collections.join(db, collection_id, artifact_id)
    collections.set_aliases(db, collection_id, artifact_id, [collections.LATEST, *json.loads(artifact["aliases"])])


def _settle(db: sqlite3.Connection, artifact_id: int, name: str, entry: dict[str, Any]) -> int:
    """Check that a manifest entry's contents have arrived, or find them in an earlier version; return its size."""
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


def files(db: sqlite3.Connection, artifact_id: int, names: list[str] | None = None) -> list[sqlite3.Row]:
    """Return an artifact's files that have contents or a reference: all by name, or `names` in that order."""
    rows = db.execute(
        "SELECT * FROM artifact_files WHERE artifact_id = ? AND (blob IS NOT NULL OR ref IS NOT NULL) ORDER BY name",
        (artifact_id,),
    ).fetchall()
    if names:
        found = {row["name"]: row for row in rows}
        rows = [found[name] for name in names if name in found]
    return rows


def logged(db: sqlite3.Connection, run_id: int, type_name: str) -> list[dict[str, str]]:
    """Return the blobs' keys by file name, for each artifact of this type that a run logged, newest first."""
    found = db.execute(
        "SELECT artifacts.id FROM artifacts JOIN collections ON collections.id = artifacts.collection_id"
        " WHERE artifacts.run_id = ? AND collections.type = ? AND artifacts.state = 'COMMITTED'"
        " ORDER BY artifacts.id DESC",
        (run_id, type_name),
    ).fetchall()
    return [{row["name"]: row["blob"] for row in files(db, key) if row["blob"]} for (key,) in found]


def file_by_digest(db: sqlite3.Connection, entity: str, digest: str) -> sqlite3.Row | None:
    """Return a file with contents from an entity's artifacts, by its digest in hexadecimal; or None.

    Raises:
        BadRequest: the digest is not hexadecimal.
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
    """Remove a version. One that has aliases is only removed with `with_aliases`."""
    named = db.execute(
        "SELECT alias FROM aliases WHERE artifact_id = ? AND alias != ?", (artifact_id, collections.LATEST)
    ).fetchall()
    if named and not with_aliases:
        raise BadRequest(f"the artifact still has aliases: {', '.join(row[0] for row in named)}")
    members = db.execute(
        "SELECT DISTINCT collection_id FROM aliases WHERE artifact_id = ? AND alias = ?",
        (artifact_id, collections.LATEST),
    ).fetchall()
    db.execute("DELETE FROM artifacts WHERE id = ?", (artifact_id,))
    for (collection_id,) in members:
        last = db.execute(
            "SELECT artifact_id FROM memberships WHERE collection_id = ? ORDER BY version DESC",
            (collection_id,),
        ).fetchone()
        if last is not None:
            collections.set_aliases(db, collection_id, last[0], [collections.LATEST])
