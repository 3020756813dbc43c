"""SQLite connections: many readers, one writer, and the migrations that bring a file up to date."""

import os
import queue
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.fairlock import FairLock
from mnist_sweep.server.store.filters import matches
from mnist_sweep.server.store.migrations import MIGRATIONS

_FULL = ("database or disk is full", "disk I/O error", "attempt to write a readonly database", "unable to open")


class StoreError(Exception):
    """The data folder cannot be used right now (full, read-only, gone); the message is one line."""


class Database:
    """One SQLite file in WAL mode.

    What a write acknowledged outlives not only the process but the machine: it returns only once the log is synced, as
    with `synchronous = FULL` (https://www.sqlite.org/pragma.html#pragma_synchronous). The sync happens after the next
    writer has been let in, and one sync serves all writes that were committed before it began.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._lock = FairLock()
        self._sync_lock = FairLock()
        self._committed = self._synced = 0
        try:
            self._writer = self._open()
            self._writer.execute("PRAGMA journal_mode = WAL")
            with self._writer:
                self._writer.execute("PRAGMA user_version = 1")  # the first write makes the log file
            self._log = os.open(f"{path}-wal", os.O_RDWR)
            self._migrate()
        except sqlite3.Error as error:
            raise StoreError(f"cannot use the database {path}: {error}") from error

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=30)
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA foreign_keys = ON")
        db.create_function("regexp", 2, matches, deterministic=True)
        return db

    def _migrate(self) -> None:
        self._writer.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied_at TEXT NOT NULL)")
        applied = {row[0] for row in self._writer.execute("SELECT name FROM migrations")}
        if unknown := applied - {name for name, _ in MIGRATIONS}:
            raise StoreError(
                f"the database {self._path} was written by a newer version (migration {min(unknown)!r}); "
                "update mnist-sweep or choose another data folder"
            )
        for name, statements in MIGRATIONS:
            if name in applied:
                continue
            with self.write() as db:
                for statement in statements.split(";"):
                    db.execute(statement)
                db.execute("INSERT INTO migrations VALUES (?, ?)", (name, now()))

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A reading connection inside one transaction."""
        try:
            db = self._idle.get_nowait()
        except queue.Empty:
            db = self._open()
            db.execute("PRAGMA query_only = ON")
        db.execute("BEGIN")
        try:
            yield db
        finally:
            db.execute("ROLLBACK")
            self._idle.put(db)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """The writing connection inside one transaction.

        Raises:
            StoreError: the disk is full or the folder is read-only; nothing was written.
        """
        try:
            with self._lock:
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    yield self._writer
                    self._writer.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):
                        self._writer.execute("ROLLBACK")
                    raise
                self._committed += 1
                number = self._committed
            self._sync(number)
        except sqlite3.OperationalError as error:
            if str(error).startswith(_FULL):
                raise StoreError(f"cannot write to {self._path}: {error}") from error
            raise

    def _sync(self, number: int) -> None:
        """Return once commit `number` is on disk."""
        with self._sync_lock:
            if self._synced < number:
                last = self._committed
                os.fsync(self._log)
                self._synced = last

    def close(self) -> None:
        """Close every idle connection; the last one folds the log back into the file."""
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                break
        with self._lock:
            self._writer.close()
            os.close(self._log)
