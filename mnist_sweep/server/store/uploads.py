"""Rows that have contents among the blobs. Clients upload and download them by their kind and row id."""

import hashlib
import sqlite3
from collections.abc import Mapping
from typing import Any

from mnist_sweep.server.store.blobs import Blob
from mnist_sweep.server.store.clock import now

KINDS = {"file": "files", "manifest": "manifests", "artifact-file": "artifact_files"}
"""The kinds, and their tables."""
_OWNERS = {"file": "run_id", "manifest": "artifact_id", "artifact-file": "artifact_id"}


def identity(kind: str, row: sqlite3.Row | Mapping[str, Any]) -> str:
    """Return what tells a row's contents from others: a hash of its id, owner, name and announced digest.

    An upload that arrives late must not change a row that has another meaning by now.
    """
    digest = "" if kind == "file" else row["digest"]
    text = f"{kind} {row['id']} {row[_OWNERS[kind]]} {digest} {row['name']}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def attach_blob(db: sqlite3.Connection, kind: str, key: int, expected: str, blob: Blob) -> bool:
    """Give a row its contents.

    Returns:
        Whether the row took them: it exists, has the expected `identity`, and is not of a committed artifact.
    """
    row = _row(db, kind, key, expected)
    if row is None or (kind != "file" and _committed(db, row["artifact_id"])):
        return False
    db.execute(f"UPDATE {KINDS[kind]} SET blob = ?, size = ? WHERE id = ?", (blob.key, blob.size, key))
    if kind == "file":
        db.execute("UPDATE files SET md5 = ?, updated_at = ? WHERE id = ?", (blob.md5, now(), key))
    return True


def find(db: sqlite3.Connection, kind: str, key: int, expected: str) -> sqlite3.Row | None:
    """Return the row with this id and `identity` if it has contents: `blob` is their key."""
    row = _row(db, kind, key, expected)
    return None if row is None or row["blob"] is None else row


def _row(db: sqlite3.Connection, kind: str, key: int, expected: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(f"SELECT * FROM {KINDS[kind]} WHERE id = ?", (key,)).fetchone()
    return row if row is not None and identity(kind, row) == expected else None


def _committed(db: sqlite3.Connection, artifact_id: int) -> bool:
    return bool(db.execute("SELECT state FROM artifacts WHERE id = ?", (artifact_id,)).fetchone()[0] == "COMMITTED")
