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
from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.store import collections, manifests
from mnist_sweep.server.store.blobs import Blobs
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.rows import Artifact, ArtifactFile, Manifest, Run


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
        if columns.get("run_id") not in (None, known.run_id):
            output = (columns["run_id"], known.id)
            db.execute("INSERT OR IGNORE INTO artifact_outputs (run_id, artifact_id) VALUES (?, ?)", output)
        if known.state == "PENDING":
            wanted = list(dict.fromkeys([*json.loads(known.aliases), *aliases]))
            Artifact.set(db, known.id, aliases=wire_json.dumps(wanted))
        elif known.client_id != columns.get("client_id"):
            latest = [collections.LATEST] if columns.get("client_id") else []  # only if it is sent, not just named
            collections.set_aliases(db, collection_id, known.id, [*latest, *aliases])
            if client_id := columns.get("client_id"):
                db.execute("INSERT OR IGNORE INTO artifact_client_ids VALUES (?, ?)", (client_id, known.id))
        return known.id
    texts = {"aliases": wire_json.dumps(list(aliases)), "tags": wire_json.dumps(list(tags))}
    values = {"collection_id": collection_id, "state": "PENDING", "digest": digest, **texts, **columns}
    return Artifact.insert(db, **values, created_at=now(), updated_at=now())


def _known(db: sqlite3.Connection, collection_id: int, digest: str | None, columns: dict[str, Any]) -> Artifact | None:
    same = {
        "client_id = ?": columns.get("client_id"),
        "state = 'PENDING' AND distributed_id = ?": columns.get("distributed_id"),
        "state = 'COMMITTED' AND digest = ?": digest,
    }
    for condition, value in same.items():
        where = f"WHERE collection_id = ? AND {condition} ORDER BY id DESC"
        if value and (row := Artifact.first(db, where, collection_id, value)) is not None:
            return row
    return None


def by_client_id(db: sqlite3.Connection, client_id: str) -> Artifact | None:
    """Return the newest artifact that a client knows by an id of its own, or None."""
    named = "SELECT artifact_id FROM artifact_client_ids WHERE client_id = ?1"
    return Artifact.first(db, f"WHERE client_id = ?1 OR id = ({named}) ORDER BY id DESC", client_id)


def update(db: sqlite3.Connection, artifact_id: int, tags: list[str], **fields: Any) -> None:
    """Set the tags, and those of description, metadata (JSON) and ttl_seconds that are not None."""
    given = {column: value for column, value in fields.items() if value is not None}
    Artifact.set(db, artifact_id, tags=wire_json.dumps(tags), updated_at=now(), **given)


def made_by(db: sqlite3.Connection, run_id: int) -> list[Artifact]:
    """Return the versions that a run logged, oldest first."""
    outputs = "SELECT artifact_id FROM artifact_outputs WHERE run_id = ?1"
    where = f"WHERE state = 'COMMITTED' AND (run_id = ?1 OR id IN ({outputs})) ORDER BY id"
    return Artifact.all(db, where, run_id)


def delete_made_by(db: sqlite3.Connection, run_id: int) -> None:
    """Remove the artifacts that a run logged."""
    db.execute("DELETE FROM artifacts WHERE run_id = ?", (run_id,))


def use(db: sqlite3.Connection, run_id: int, artifact_id: int) -> None:
    """Record that a run uses an artifact."""
    db.execute("INSERT OR IGNORE INTO artifact_uses (run_id, artifact_id) VALUES (?, ?)", (run_id, artifact_id))


def used_by(db: sqlite3.Connection, run_id: int) -> list[Artifact]:
    """Return the artifacts that a run uses, oldest first."""
    uses = "SELECT artifact_id FROM artifact_uses WHERE run_id = ?"
    return Artifact.all(db, f"WHERE id IN ({uses}) ORDER BY id", run_id)


def users_of(db: sqlite3.Connection, artifact_id: int) -> list[Run]:
    """Return the runs that use an artifact, oldest first."""
    uses = "SELECT run_id FROM artifact_uses WHERE artifact_id = ?"
    return Run.all(db, f"WHERE runs.id IN ({uses}) ORDER BY runs.id", artifact_id)


def _check_pending(db: sqlite3.Connection, artifact_id: int) -> None:
    if Artifact.by_id(db, artifact_id).state == "COMMITTED":
        raise BadRequest("this artifact version is committed and can no longer change")


def put_manifest(db: sqlite3.Connection, artifact_id: int, name: str, digest: str | None, kind: str) -> int:
    """Announce a manifest of a pending artifact; return its row id."""
    _check_pending(db, artifact_id)
    return manifests.announce(db, artifact_id, name, digest, kind)


def update_manifest(db: sqlite3.Connection, manifest: Manifest, digest: str | None) -> None:
    """Change the announced digest of a pending artifact's manifest."""
    _check_pending(db, manifest.artifact_id)
    Manifest.set(db, manifest.id, digest=digest)


def announce_file(db: sqlite3.Connection, artifact_id: int, name: str, digest: str) -> ArtifactFile:
    """Create the row of a pending artifact's file and return it. Contents with another digest are dropped."""
    _check_pending(db, artifact_id)
    key = db.execute(
        "INSERT INTO artifact_files (artifact_id, name, digest) VALUES (?, ?, ?)"
        " ON CONFLICT (artifact_id, name) DO UPDATE SET"
        " blob = CASE WHEN digest = excluded.digest THEN blob END, digest = excluded.digest RETURNING id",
        (artifact_id, name[:4096], digest),
    ).fetchone()[0]
    return ArtifactFile.by_id(db, key)


def commit(db: sqlite3.Connection, blobs: Blobs, artifact_id: int) -> None:
    """Make a pending artifact a version of its collection.

    Raise BadRequest if the manifest or one of its files has not arrived.
    """
    artifact = Artifact.by_id(db, artifact_id)
    if artifact.state == "COMMITTED":
        return
    collection_id = artifact.collection_id
    latest = collections.member(db, collection_id, collections.LATEST)
    entries, merged = manifests.complete(db, blobs, artifact_id, None if latest is None else latest.artifact_id)
    size = sum(_settle(db, artifact_id, name, entry) for name, entry in entries.items())
    known = artifact.digest_algorithm in (None, "MANIFEST_MD5")
    digest = manifests.digest(entries) if merged and known else artifact.digest
    counts = {"size": size, "file_count": len(entries)}
    Artifact.set(db, artifact_id, state="COMMITTED", digest=digest, updated_at=now(), **counts)
    collections.join(db, collection_id, artifact_id)
    collections.set_aliases(db, collection_id, artifact_id, [collections.LATEST, *json.loads(artifact.aliases)])


def _settle(db: sqlite3.Connection, artifact_id: int, name: str, entry: dict[str, Any]) -> int:
    """Check that a manifest entry's contents have arrived, or find them in an earlier version; return its size."""
    digest, size = str(entry.get("digest", "")), entry.get("size")
    size = size if isinstance(size, int) and 0 <= size < 2**60 else 0
    blob, ref = None, entry.get("ref")
    if ref is None:
        known = ArtifactFile.first(db, "WHERE artifact_id = ? AND name = ? AND digest = ?", artifact_id, name, digest)
        if known is not None and known.blob is not None:
            return size
        earlier = ArtifactFile.first(
            db,
            "JOIN artifacts ON artifacts.id = artifact_id WHERE artifact_files.digest = ? AND blob IS NOT NULL"
            " AND collection_id = (SELECT collection_id FROM artifacts WHERE id = ?)",
            digest,
            artifact_id,
        )
        if earlier is None:
            raise BadRequest(f"the artifact's file {name[:200]!r} has not been uploaded")
        blob = earlier.blob
    db.execute(
        "INSERT OR REPLACE INTO artifact_files (artifact_id, name, digest, blob, ref, size) VALUES (?, ?, ?, ?, ?, ?)",
        (artifact_id, name, digest, blob, None if ref is None else str(ref), size),
    )
    return size


def files(db: sqlite3.Connection, artifact_id: int, names: list[str] | None = None) -> list[ArtifactFile]:
    """Return an artifact's files that have contents or a reference: all by name, or `names` in that order."""
    there = "(blob IS NOT NULL OR ref IS NOT NULL)"
    rows = ArtifactFile.all(db, f"WHERE artifact_id = ? AND {there} ORDER BY name", artifact_id)
    if names:
        found = {row.name: row for row in rows}
        rows = [found[name] for name in names if name in found]
    return rows


def logged(db: sqlite3.Connection, run_id: int, type_name: str) -> list[dict[str, str]]:
    """Return the blobs' keys by file name, for each artifact of this type that a run logged, newest first."""
    found = Artifact.all(
        db,
        "JOIN collections ON collections.id = artifacts.collection_id"
        " WHERE artifacts.run_id = ? AND collections.type = ? AND artifacts.state = 'COMMITTED'"
        " ORDER BY artifacts.id DESC",
        run_id,
        type_name,
    )
    return [{row.name: row.blob for row in files(db, artifact.id) if row.blob} for artifact in found]


def file_by_digest(db: sqlite3.Connection, entity: str, digest: str) -> ArtifactFile | None:
    """Return a file with contents from an entity's artifacts, by its digest in hexadecimal; or None.

    Raise BadRequest if the digest is not hexadecimal.
    """
    try:
        wanted = base64.b64encode(bytes.fromhex(digest)).decode()
    except ValueError:
        raise BadRequest(f"{digest[:100]!r} is not a digest") from None
    return ArtifactFile.first(
        db,
        "JOIN artifacts ON artifacts.id = artifact_id"
        " JOIN collections ON collections.id = collection_id JOIN projects ON projects.id = project_id"
        " WHERE artifact_files.digest = ? AND artifact_files.blob IS NOT NULL AND projects.entity = ?",
        wanted,
        entity,
    )


def delete(db: sqlite3.Connection, artifact_id: int, *, with_aliases: bool) -> None:
    """Remove a version. One that has aliases is only removed with `with_aliases`."""
    aliases = collections.aliases(db, artifact_id=artifact_id)
    named = [row.alias for row in aliases if row.alias != collections.LATEST]
    if named and not with_aliases:
        raise BadRequest(f"the artifact still has aliases: {', '.join(named)}")
    Artifact.delete(db, artifact_id)
    for row in aliases:
        if row.alias == collections.LATEST and (newest := collections.members(db, row.collection_id)):
            collections.set_aliases(db, row.collection_id, newest[0].artifact_id, [collections.LATEST])
