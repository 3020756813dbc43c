"""Rows that have contents among the blobs. Clients upload and download them by their kind and row id."""

import hashlib
import sqlite3

from mnist_sweep.server.store.blobs import Blob
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.rows import Artifact, ArtifactFile, File, Manifest

Upload = File | Manifest | ArtifactFile
KINDS: dict[str, type[Upload]] = {"file": File, "manifest": Manifest, "artifact-file": ArtifactFile}
"""The kinds, as addresses name them."""


def kind_of(row: Upload) -> str:
    """Return the kind of a row."""
    return next(kind for kind, row_type in KINDS.items() if isinstance(row, row_type))


def identity(row: Upload) -> str:
    """Return what tells a row's contents from others: a hash of its id, owner, name and announced digest.

    An upload that arrives late must not change a row that has another meaning by now.
    """
    owner, digest = (row.run_id, "") if isinstance(row, File) else (row.artifact_id, row.digest)
    text = f"{kind_of(row)} {row.id} {owner} {digest} {row.name}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def attach_blob(db: sqlite3.Connection, kind: str, key: int, expected: str, blob: Blob) -> bool:
    """Give a row its contents.

    Returns:
        Whether the row took them: it exists, has the expected `identity`, and is not of a committed artifact.
    """
    row = _row(db, kind, key, expected)
    if row is None:
        return False
    if isinstance(row, File):
        File.set(db, key, blob=blob.key, size=blob.size, md5=blob.md5, updated_at=now())
        return True
    if Artifact.by_id(db, row.artifact_id).state == "COMMITTED":
        return False
    row.set(db, key, blob=blob.key, size=blob.size)
    return True


def find(db: sqlite3.Connection, kind: str, key: int, expected: str) -> Upload | None:
    """Return the row with this id and `identity` if it has contents: `blob` is their key."""
    row = _row(db, kind, key, expected)
    return None if row is None or row.blob is None else row


def _row(db: sqlite3.Connection, kind: str, key: int, expected: str) -> Upload | None:
    row = KINDS[kind].first(db, "WHERE id = ?", key)
    return row if row is not None and identity(row) == expected else None
