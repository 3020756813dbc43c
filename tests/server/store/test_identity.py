"""Row ids are never reused: what a client knew of a deleted row names no other one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import httpx
import pytest

from mnist_sweep.server.gql import ids
from mnist_sweep.server.store import Store, projects, runs, sweeps
from mnist_sweep.server.store.migrations import MIGRATIONS
from tests.server.conftest import Ask

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
    project = projects.ensure(old, "local", "p")["id"]
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
        projects.delete(db, project)  # foreign keys are in force again
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
            first.append(projects.ensure(db, "local", "p")["id"])
        store.close()
    assert first[0] != first[1]


def new_sweep(ask: Ask, project: str) -> dict[str, str]:
    made: dict[str, str] = ask(
        f'mutation {{ upsertSweep(input: {{projectName: "{project}", config: "{GRID}"}}) {{ sweep {{ id name }} }} }}'
    )["upsertSweep"]["sweep"]
    return made


def new_agent(ask: Ask, project: str, sweep: str) -> str:
    query = 'mutation($s: String!, $p: String) { createAgent(input: {host: "h", sweep: $s, projectName: $p}) '
    return str(ask(query + "{ agent { id } } }", s=sweep, p=project)["createAgent"]["agent"]["id"])


HEARTBEAT = "mutation($id: ID!) { agentHeartbeat(input: {id: $id}) { commands } }"


def test_an_agent_of_a_deleted_sweep_is_no_other_sweeps_agent(client: httpx.Client, ask: Ask) -> None:
    old = new_sweep(ask, "p")
    agent = new_agent(ask, "p", old["name"])
    ask("mutation($id: ID!) { deleteSweep(input: {id: $id}) { success } }", id=old["id"])
    new = new_sweep(ask, "q")
    assert new["id"] != old["id"]
    assert new_agent(ask, "q", new["name"]) != agent
    answer = client.post("/graphql", json={"query": HEARTBEAT, "variables": {"id": agent}})
    assert answer.status_code == 404
    runs_of = f'{{ project(name: "q") {{ sweep(sweepName: "{new["name"]}") {{ runCount }} }} }}'
    assert ask(runs_of)["project"]["sweep"]["runCount"] == 0


START = "mutation($n: String, $p: String) { upsertBucket(input: {name: $n, modelName: $p}) { bucket { id } } }"
UPLOAD = """mutation($run: String!, $p: String!) { createRunFiles(input: {entityName: "local", projectName: $p,
    runName: $run, files: ["a.txt"]}) { files { uploadUrl } } }"""


def start(ask: Ask, run: str, project: str) -> str:
    return str(ask(START, n=run, p=project)["upsertBucket"]["bucket"]["id"])


def upload_url(ask: Ask, run: str, project: str) -> str:
    return str(ask(UPLOAD, run=run, p=project)["createRunFiles"]["files"][0]["uploadUrl"])


def test_a_stale_id_changes_and_deletes_no_other_run(client: httpx.Client, ask: Ask) -> None:
    stale = start(ask, "old", "p")
    delete = "mutation($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }"
    ask(delete, id=stale)
    assert start(ask, "new", "q") != stale
    rename = 'mutation($id: String) { upsertBucket(input: {id: $id, displayName: "taken"}) { bucket { id } } }'
    answer = client.post("/graphql", json={"query": rename, "variables": {"id": stale}}).json()
    assert "no such run" in answer["errors"][0]["message"]
    ask(delete, id=stale)
    found = ask('{ project(name: "q") { run(name: "new") { displayName } } }')["project"]["run"]
    assert found["displayName"] not in (None, "taken")


def test_a_late_upload_to_a_deleted_run_changes_no_other_runs_file(client: httpx.Client, ask: Ask) -> None:
    stale_run = start(ask, "old", "p")
    stale = upload_url(ask, "old", "p")
    ask("mutation($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }", id=stale_run)
    start(ask, "new", "q")
    assert httpx.put(upload_url(ask, "new", "q"), content=b"mine").status_code == 200
    assert httpx.put(stale, content=b"theirs").status_code == 404
    assert client.get("/files/local/q/new/a.txt").content == b"mine"


@pytest.mark.parametrize("column", ["name", "run_id"])
def test_an_address_is_not_valid_for_a_row_that_has_another_meaning(
    client: httpx.Client, ask: Ask, kept: Store, column: str
) -> None:
    """As after a backup was restored: the same id, another file."""
    start(ask, "r", "p")
    other = ids.decode("Run", start(ask, "s", "p"))
    url = upload_url(ask, "r", "p")
    with kept.write() as db:
        db.execute(f"UPDATE files SET {column} = ?", (other if column == "run_id" else "b.txt",))
    assert httpx.put(url, content=b"late").status_code == 404
    with kept.read() as db:
        assert db.execute("SELECT blob FROM files").fetchone()[0] is None


def test_a_late_upload_of_an_artifacts_earlier_file_is_refused(client: httpx.Client, ask: Ask) -> None:
    made = ask("""mutation { createArtifact(input: {entityName: "local", projectName: "p", artifactTypeName: "t",
        artifactCollectionName: "c", digest: "d"}) { artifact { id } } }""")["createArtifact"]["artifact"]["id"]
    announce = """mutation($id: ID!, $md5: String!) { createArtifactFiles(input: {artifactFiles: [{artifactID: $id,
        name: "f", md5: $md5}], storageLayout: V2}) { files { edges { node { uploadUrl } } } } }"""

    def url(md5: str) -> str:
        return str(ask(announce, id=made, md5=md5)["createArtifactFiles"]["files"]["edges"][0]["node"]["uploadUrl"])

    early, late = url("one"), url("two")
    assert httpx.put(early, content=b"one").status_code == 404
    assert httpx.put(late, content=b"two").status_code == 200
