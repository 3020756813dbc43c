"""The open data folder."""

import os
import secrets
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import anyio.to_thread

from mnist_sweep.server.errors import StoreError
from mnist_sweep.server.store import history, permissions
from mnist_sweep.server.store.blobs import Blobs
from mnist_sweep.server.store.db import Database

_PROBE_BYTES = 1 << 20
T = TypeVar("T")


class Store:
    """An open data folder: `read()` and `write()` give connections, `blobs` holds file contents.

    Args:
        folder: where everything is kept. It is created if it is missing, and closed to other users of the machine.

    Raises:
        StoreError: the folder cannot be used; the message is one line for a person.
    """

    def __init__(self, folder: Path) -> None:
        database = folder / "server.sqlite3"
        try:
            for path in permissions.folder(folder).glob("server.*"):
                permissions.file(path)
            self.blobs = Blobs(permissions.folder(folder / "files"))
            self.key = permissions.key(folder / "key")
            """The random key that clients must send, created at the first start."""
            if self.blobs.any() and Database.is_new(database):
                raise StoreError(
                    f"{folder / 'files'} holds contents, but {database} is missing or empty; "
                    "restore the database, or move the contents away"
                )
            permissions.file(database)
        except OSError as error:
            raise StoreError(f"cannot use the data folder {folder}: {error.strerror}") from error
        self.folder = folder
        self.history_keys = history.Keys(4096)
        self.db = Database(database)
        with self.write() as db:
            db.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('secret', ?)", (secrets.token_hex(32),))
            self.secret = str(db.execute("SELECT value FROM meta WHERE key = 'secret'").fetchone()[0])
            used = {row[0] for row in db.execute(_USED_BLOBS)}
        try:
            self.blobs.keep_only(used)
        except OSError as error:
            raise StoreError(f"cannot remove unused contents in {folder / 'files'}: {error.strerror}") from error

    def read(self) -> AbstractContextManager[sqlite3.Connection]:
        """Return a connection that sees one consistent state and cannot write."""
        return self.db.read()

    def write(self) -> AbstractContextManager[sqlite3.Connection]:
        """Return the writing connection in a transaction: durable after the block, undone on an exception."""
        return self.db.write()

    async def reading(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `ask` reads, in a thread of its own."""
        return await anyio.to_thread.run_sync(self._within, self.read, ask)

    async def writing(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `change` returns, in a thread and a transaction of its own."""
        return await anyio.to_thread.run_sync(self._within, self.write, change)

    @staticmethod
    def _within(
        opened: Callable[[], AbstractContextManager[sqlite3.Connection]], use: Callable[[sqlite3.Connection], T]
    ) -> T:
        with opened() as db:
            return use(db)

    def why_unwritable(self) -> str:
        """Return why nothing can be written here, in one line for a person; empty if something can."""
        try:
            with self.db.write():
                pass
            with tempfile.TemporaryFile(dir=self.folder) as file:
                file.write(bytes(_PROBE_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except StoreError as error:
            return str(error)
        except OSError as error:
            return f"cannot write to {self.folder}: {error.strerror}"
        return ""

    def close(self) -> None:
        self.db.close()


_USED_BLOBS = """
SELECT blob FROM files WHERE blob IS NOT NULL
UNION SELECT blob FROM artifact_files WHERE blob IS NOT NULL
UNION SELECT blob FROM manifests WHERE blob IS NOT NULL
"""
