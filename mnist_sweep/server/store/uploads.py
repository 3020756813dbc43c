"""Rows that have contents among the blobs, which clients upload and download by their kind and row id."""

import sqlite3

from mnist_sweep.server.store.blobs import Blob
from mnist_sweep.server.store.clock import now

KINDS = {"file": "files", "manifest": "manifests", "artifact-file": "artifact_files"}
"""The kinds, and their tables."""
_OPEN = " AND artifact_id IN (SELECT id FROM artifacts WHERE state = 'PENDING')"


def attach_blob(db: sqlite3.Connection, kind: str, key: int, blob: Blob) -> bool:
    """Give a row its contents; False if there is none any more, or if it is of an artifact that is committed."""
    facts = {"id": key, "blob": blob.key, "size": blob.size, "md5": blob.md5, "now": now()}
    more, only = (", md5 = :md5, updated_at = :now", "") if kind == "file" else ("", _OPEN)
    done = db.execute(f"UPDATE {KINDS[kind]} SET blob = :blob, size = :size{more} WHERE id = :id{only}", facts)
    return done.rowcount == 1


def find(db: sqlite3.Connection, kind: str, key: int) -> sqlite3.Row | None:
    """A row that has contents: `blob` is their key."""
    row: sqlite3.Row | None = db.execute(
        f"SELECT * FROM {KINDS[kind]} WHERE id = ? AND blob IS NOT NULL", (key,)
    ).fetchone()
    return row
