"""What was acknowledged stays, and what failed leaves nothing."""

import sqlite3
import threading
from pathlib import Path

import pytest

from mnist_sweep.server.store import Store, StoreError
from mnist_sweep.server.store.db import Database
from mnist_sweep.server.store.migrations import MIGRATIONS


def test_a_full_disk_refuses_the_write_and_keeps_the_rest(store: Store) -> None:
    with store.write() as db:
        db.execute("INSERT INTO meta VALUES ('kept', 'x')")
        db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0] + 8}")
    with pytest.raises(StoreError, match="full"), store.write() as db:
        db.execute("INSERT INTO meta VALUES ('large', ?)", ("x" * 1_000_000,))
    with store.read() as db:
        assert [row[0] for row in db.execute("SELECT key FROM meta WHERE key IN ('kept', 'large')")] == ["kept"]
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_a_failed_change_leaves_nothing_behind(store: Store) -> None:
    def change() -> None:
        with store.write() as db:
            db.execute("INSERT INTO meta VALUES ('half', 'x')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change()
    with store.read() as db:
        assert db.execute("SELECT count(*) FROM meta WHERE key = 'half'").fetchone()[0] == 0


def test_readers_cannot_write(store: Store) -> None:
    with store.read() as db, pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.execute("DELETE FROM meta")


def test_migrations_are_recorded_and_those_of_a_newer_version_refused(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")
    with database.write() as db:
        assert [row[0] for row in db.execute("SELECT name FROM migrations")] == [name for name, _ in MIGRATIONS]
        db.execute("INSERT INTO migrations VALUES ('9999-from-the-future', '')")
    database.close()
    with pytest.raises(StoreError, match="newer version"):
        Database(tmp_path / "db")


def test_writers_wait_for_each_other(store: Store) -> None:
    def add() -> None:
        for _ in range(25):
            with store.write() as db:
                value = db.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()[0]
                db.execute("UPDATE meta SET value = ? WHERE key = 'version'", (value + 1,))

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as db:
        assert db.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()[0] == 200
