"""A run's files: names here, contents in the blobs."""

import posixpath
import sqlite3

from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.errors import BadRequest


def normal_name(name: str) -> str:
    """A file's name inside its run: relative, with forward slashes, `./name` as `name`.

    Raises:
        BadRequest: empty, absolute, leading out of the run, or with control characters.
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


def announce(db: sqlite3.Connection, run_id: int, name: str) -> int:
    """Make room for a file that will be uploaded; returns its row id."""
    db.execute(
        "INSERT OR IGNORE INTO files (run_id, name, updated_at) VALUES (?, ?, ?)",
        (run_id, normal_name(name), now()),
    )
    row = db.execute("SELECT id FROM files WHERE run_id = ? AND name = ?", (run_id, normal_name(name))).fetchone()
    return int(row[0])


def listing(
    db: sqlite3.Connection, run_id: int, *, names: list[str] | None = None, pattern: str | None = None
) -> list[sqlite3.Row]:
    """A run's files by name: all, those of these names, or those an SQL LIKE pattern matches."""
    rows = db.execute(
        "SELECT * FROM files WHERE run_id = ?1 AND (?2 IS NULL OR name LIKE ?2 ESCAPE '\\') ORDER BY name",
        (run_id, pattern),
    ).fetchall()
    if names:
        wanted = {_plain(name) for name in names}
        rows = [row for row in rows if row["name"] in wanted]
    return rows


def find(db: sqlite3.Connection, run_id: int, name: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM files WHERE run_id = ? AND name = ? AND blob IS NOT NULL", (run_id, normal_name(name))
    ).fetchone()
    return row


def delete(db: sqlite3.Connection, file_ids: list[int]) -> None:
    db.executemany("DELETE FROM files WHERE id = ?", [(file_id,) for file_id in file_ids])
