"""Manifests: the lists of an artifact's files.

A client sends a FULL manifest, or a part of one. An INCREMENTAL one adds to the version before. For a distributed
artifact, each run sends PATCHes. The parts become a full manifest when the artifact is committed.
"""

import hashlib
import sqlite3
from typing import Any

from mnist_sweep.server import wire_json
from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.store.blobs import Blobs
from mnist_sweep.server.store.rows import Manifest

FULL, INCREMENTAL, PATCH = "FULL", "INCREMENTAL", "PATCH"
_LIMIT = 100_000_000


def announce(db: sqlite3.Connection, artifact_id: int, name: str, digest: str | None, kind: str) -> int:
    """Create the row of a manifest and return its id. Except for patches, it replaces one of the same kind."""
    return int(
        db.execute(
            "INSERT INTO manifests (artifact_id, name, digest, type) VALUES (?, ?, ?, ?)"
            f" ON CONFLICT (artifact_id, type) WHERE type != '{PATCH}'"
            " DO UPDATE SET name = excluded.name, digest = excluded.digest RETURNING id",
            (artifact_id, name, digest, kind),
        ).fetchone()[0]
    )


def find(db: sqlite3.Connection, artifact_id: int) -> Manifest | None:
    """Return an artifact's manifest, the full one if there is one, else the newest; or None."""
    return Manifest.first(db, f"WHERE artifact_id = ? ORDER BY type = '{FULL}' DESC, id DESC", artifact_id)


def complete(db: sqlite3.Connection, blobs: Blobs, artifact_id: int, before: int | None) -> tuple[dict[str, Any], bool]:
    """Return an artifact's entries by name, and whether they were merged from parts into a full manifest.

    Args:
        before: the row id of the artifact that is the latest version so far.

    Raises:
        BadRequest: no manifest has arrived, or it is malformed.
    """
    parts = Manifest.all(db, "WHERE artifact_id = ? AND blob IS NOT NULL ORDER BY id", artifact_id)
    if not parts:
        raise BadRequest("the artifact's manifest has not been uploaded")
    read = [_read(blobs, row) for row in parts]
    if parts[-1].type == FULL:
        return _entries(read[-1]), False
    if parts[-1].type == INCREMENTAL and before is not None and (row := find(db, before)) is not None:
        read = [_read(blobs, row), read[-1]]
    entries = {name: entry for manifest in read for name, entry in _entries(manifest).items()}
    with blobs.receive() as upload:
        upload.write(wire_json.dumps(read[-1] | {"contents": entries}).encode())
        blob = upload.keep()
    key = announce(db, artifact_id, "wandb_manifest.json", blob.md5, FULL)
    Manifest.set(db, key, blob=blob.key, size=blob.size)
    return entries, True


def digest(entries: dict[str, Any]) -> str:
    """Return the digest of a manifest with these entries, as the client computes it (`MANIFEST_MD5`)."""
    found = hashlib.md5(b"wandb-artifact-manifest-v1\n", usedforsecurity=False)
    for name, entry in sorted(entries.items()):
        found.update(f"{name}:{entry.get('digest')}\n".encode())
    return found.hexdigest()


def _read(blobs: Blobs, row: Manifest) -> dict[str, Any]:
    if row.size > _LIMIT:
        raise BadRequest(f"the artifact's manifest has {row.size} bytes, over {_LIMIT}")
    try:
        text = blobs.path(row.blob).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest(f"the artifact's manifest is not UTF-8: {error}") from None
    return wire_json.as_object(text, "the artifact's manifest")


def _entries(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    entries = manifest.get("contents")
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise BadRequest("the artifact's manifest is not a JSON object with contents")
    return entries
