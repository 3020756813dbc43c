"""The steps that bring an older database up to date."""

import sqlite3
from pathlib import Path

from mnist_sweep.server.store import Store, projects, runs, sweeps
from mnist_sweep.server.store.migrations import MIGRATIONS
from mnist_sweep.server.store.rows import Project

GRID = "method: grid\\nparameters: {x: {values: [1, 2, 3]}}"
TABLES = [
    "projects",
    "sweeps",
    "agents",
    "runs",
    "files",
    "collections",
    "artifacts",
    "memberships",
    "aliases",
    "manifests",
    "artifact_files",
    "views",
]


def test_every_table_with_an_id_never_reuses_one(store: Store) -> None:
    with store.read() as db:
        tables = dict(db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall())
        with_id = {name for name, sql in tables.items() if "id INTEGER PRIMARY KEY" in sql}
        assert with_id == set(TABLES)
        assert all("AUTOINCREMENT" in tables[name] for name in with_id)
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_folder_of_an_older_version_keeps_its_rows_and_gives_its_old_ids_to_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    old = sqlite3.connect(folder / "server.sqlite3", isolation_level=None)
    old.execute("CREATE TABLE migrations (name TEXT PRIMARY KEY, applied_at TEXT NOT NULL)")
    for name, statements in MIGRATIONS:
        if isinstance(statements, str):
            for statement in statements.split(";"):
                old.execute(statement)
            old.execute("INSERT INTO migrations VALUES (?, '')", (name,))
    old.row_factory = sqlite3.Row
    project = projects.ensure(old, "local", "p").id
    sweep = sweeps.create(old, project, GRID)
    agents = [sweeps.create_agent(old, sweep, "host") for _ in range(3)]
    run = runs.create(old, project, "r", "running", sweep_id=sweep, agent_id=agents[0], config={"a": {"value": 1}})
    old.execute("INSERT INTO lines VALUES (?, 'history', 0, 0, 1, '{}')", (run,))
    before = {table: old.execute(f"SELECT * FROM {table}").fetchall() for table in (*TABLES, "lines")}
    old.execute("DELETE FROM agents WHERE id = ?", (agents[2],))
    before["agents"].pop()
    indexes = {row[0] for row in old.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    old.close()

    store = Store(folder)
    with store.write() as db:
        for table, rows in before.items():
            assert [tuple(row) for row in db.execute(f"SELECT * FROM {table}")] == [tuple(row) for row in rows], table
        assert indexes <= {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        assert sweeps.create_agent(db, sweep, "host") > agents[2]
        Project.delete(db, project)  # foreign keys are in force again
        assert db.execute("SELECT count(*) FROM runs").fetchone()[0] == 0
        assert db.execute("SELECT count(*) FROM lines").fetchone()[0] == 0
    store.close()
    again = Store(folder)  # the step is applied once
    again.close()


def test_two_folders_have_no_ids_in_common(tmp_path: Path) -> None:
    first = []
    for name in ("a", "b"):
        store = Store(tmp_path / name)
        with store.write() as db:
            first.append(projects.ensure(db, "local", "p").id)
        store.close()
    assert first[0] != first[1]
