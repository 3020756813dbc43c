"""Browsers that have logged in, each by the digest of its cookie."""

import sqlite3
import time


def begin(db: sqlite3.Connection, digest: str, seconds: float) -> None:
    """Begin a session that lasts `seconds`. Sessions that have expired are removed."""
    db.execute("DELETE FROM sessions WHERE expires < ?", (time.time(),))
    db.execute("INSERT INTO sessions (digest, expires) VALUES (?, ?)", (digest, time.time() + seconds))


def lasts(db: sqlite3.Connection, digest: str) -> bool:
    """Return whether this session has begun, and has neither ended nor expired."""
    query = "SELECT 1 FROM sessions WHERE digest = ? AND expires > ?"
    return db.execute(query, (digest, time.time())).fetchone() is not None


def end(db: sqlite3.Connection, digest: str) -> None:
    """End a session."""
    db.execute("DELETE FROM sessions WHERE digest = ?", (digest,))
