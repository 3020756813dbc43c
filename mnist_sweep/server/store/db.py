"""SQLite connections: many readers, one writer, and the migrations that bring a file up to date."""

import os
import queue
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mnist_sweep.server.errors import StoreBusy, StoreError, classify
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.fairlock import FairLock
from mnist_sweep.server.store.filters import json_value, matches
from mnist_sweep.server.store.migrations import MIGRATIONS

_WAIT = 10.0
"""Seconds that a write waits for the one before it, and for a lock that another program holds."""


class Database:
    """One SQLite file in WAL mode.

    An acknowledged write survives a crash of the process and of the machine. `write` returns once the log is synced, as
    with `synchronous = FULL` (https://www.sqlite.org/pragma.html#pragma_synchronous). The sync happens after the next
    writer has been let in, and one sync serves all writes that were committed before it began.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._lock = FairLock()
        self._holder: int | None = None
        """The thread inside `write`."""
        self._sync_lock = FairLock()
        self._committed = self._synced = 0
        try:
            self._writer = self._open()
            self._identity = _identity(path)
            self._writer.execute("PRAGMA journal_mode = WAL")
            with self._writer:
                self._writer.execute("PRAGMA user_version = 1")  # the first write creates the log file
            self._log = os.open(f"{path}-wal", os.O_RDWR)
            self._migrate()
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"cannot use the database {path}: {error}") from error

    @staticmethod
    def is_new(path: Path) -> bool:
        """Whether there is no database at this path, or one without tables."""
        if not path.exists():
            return True
        try:
            db = sqlite3.connect(path, timeout=_WAIT)
            try:
                return bool(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0)
            finally:
                db.close()
        except sqlite3.Error as error:
            raise StoreError(f"cannot use the database {path}: {error}") from error

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=_WAIT)
        try:
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA foreign_keys = ON")
            db.create_function("regexp", 2, matches, deterministic=True)
            db.create_function("json_value", 2, json_value, deterministic=True)
        except BaseException:
            db.close()
            raise
        return db

    def _migrate(self) -> None:
        self._writer.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied_at TEXT NOT NULL)")
        applied = {row[0] for row in self._writer.execute("SELECT name FROM migrations")}
        if unknown := applied - {name for name, _ in MIGRATIONS}:
            raise StoreError(
                f"the database {self._path} was written by a newer version (migration {min(unknown)!r}); "
                "update mnist-sweep or choose another data folder"
            )
        # a migration may replace a table, whose rows must not take those that refer to them along
        self._writer.execute("PRAGMA foreign_keys = OFF")
        for name, change in MIGRATIONS:
            if name in applied:
                continue
            with self.write() as db:
                if callable(change):
                    change(db)
                else:
                    for statement in change.split(";"):
                        db.execute(statement)
                db.execute("INSERT INTO migrations VALUES (?, ?)", (name, now()))
        self._writer.execute("PRAGMA foreign_keys = ON")

    def _check_identity(self) -> None:
        """Check that the path still leads to the file that was opened.

        Without this check, writes to a deleted or moved folder would be acknowledged and lost.
        """
        if (found := _identity(self._path)) != self._identity:
            what = "is gone" if found is None else "is another file now"
            raise StoreError(f"{self._path} {what}; put the data folder back, or restart the server")

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Yield a reading connection inside one transaction.

        Raise StoreError if the database cannot be read, now (`StoreBusy`) or at all.
        """
        with _classified(), self._reader() as db:
            yield db

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        self._check_identity()
        try:
            db = self._idle.get_nowait()
        except queue.Empty:
            db = self._open()
        try:
            db.execute("PRAGMA query_only = ON")
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.execute("ROLLBACK")
        except sqlite3.Error as error:
            db.close()
            if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY:
                raise RuntimeError("a reading connection was asked to write") from error
            raise
        except BaseException:
            self._idle.put(db)
            raise
        self._idle.put(db)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Yield the writing connection inside one transaction.

        Raise StoreError if nothing could be written: the folder is full, read-only or gone, or busy (`StoreBusy`).
        """
        with _classified():
            with self._exclusively():
                self._check_identity()
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

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        if self._holder == threading.get_ident():
            raise RuntimeError("a write began inside a write of the same thread, and would wait for itself")
        if not self._lock.acquire(timeout=_WAIT):
            raise StoreBusy(f"the writes before this one have taken over {_WAIT:g} s")
        self._holder = threading.get_ident()
        try:
            yield
        finally:
            self._holder = None
            self._lock.release()

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
        with self._exclusively():
            self._writer.close()
            os.close(self._log)


@contextmanager
def _classified() -> Iterator[None]:
    """Raise trouble with the folder, the machine or a text as what it means for the client (`errors.classify`)."""
    try:
        yield
    except Exception as error:
        found = classify(error)
        if found is error:
            raise
        raise found from error


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells one file from another: device and inode; None if there is no file."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
