"""The files of a run: names in the database, contents in the blobs."""

import posixpath
import sqlite3

from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.rows import File


def normal_name(name: str) -> str:
    """Return a file's name inside its run: relative, with forward slashes, `./name` as `name`.

    Raise BadRequest if the name is empty or absolute, leads out of the run, or holds control characters.
    """
    plain = _plain(name)
    if (
        plain in ("", ".", "..")
        or plain.startswith(("/", "../"))
        or plain[1:2] == ":"
        or len(plain) > 1024
        or any(ord(character) < 32 for character in plain)
    ):
        raise BadRequest(f"{name[:200]!r} is not a usable file name: it must stay inside its run")
    return plain


def _plain(name: str) -> str:
    return posixpath.normpath(name.replace("\\", "/")) if name else ""


def announce(db: sqlite3.Connection, run_id: int, name: str) -> File:
    """Create the row of a file that will be uploaded, if there is none, and return it."""
    plain = normal_name(name)
    db.execute("INSERT OR IGNORE INTO files (run_id, name, updated_at) VALUES (?, ?, ?)", (run_id, plain, now()))
    (row,) = File.all(db, "WHERE run_id = ? AND name = ?", run_id, plain)
    return row


def listing(
    db: sqlite3.Connection, run_id: int, *, names: list[str] | None = None, pattern: str | None = None
) -> list[File]:
    """Return a run's files, sorted by name: all, those with these names, or those that an SQL LIKE pattern matches."""
    where = "WHERE run_id = ?1 AND (?2 IS NULL OR name LIKE ?2 ESCAPE '\\') ORDER BY name"
    wanted = {_plain(name) for name in names or ()}
    return [row for row in File.all(db, where, run_id, pattern) if not wanted or row.name in wanted]


def find(db: sqlite3.Connection, run_id: int, name: str) -> File | None:
    """Return the file of that name if it has contents."""
    return File.first(db, "WHERE run_id = ? AND name = ? AND blob IS NOT NULL", run_id, normal_name(name))
