"""What was acknowledged stays, whatever happens to the process, the folder and the disk."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from mnist_sweep.server import LOCAL_KEY, Store, StoreError
from mnist_sweep.server.launch import ServerProcess
from mnist_sweep.server.store.db import Database
from mnist_sweep.server.store.migrations import MIGRATIONS

from .conftest import Running, clean_environment

ROOT = Path(__file__).parents[2]
CARRY_ON = """
import json, sys, wandb
with wandb.init(project="killed", id="carried") as run:
    for step in range(60):
        run.log({"step": step})
        print("logged", flush=True)
        if step % 20 == 10:
            sys.stdin.readline()
rows = [row["step"] for row in wandb.Api().run("local/killed/carried").scan_history()]
print(json.dumps([rows == list(range(60)), wandb.Api().run("local/killed/carried").state]))
"""


def test_kill_9_at_random_moments_loses_nothing() -> None:
    command = [sys.executable, "scripts/kill_server.py", "--kills", "4", "--writers", "4"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_real_client_carries_on_after_a_kill(tmp_path: Path) -> None:
    server = Running(tmp_path / "data", tmp_path)
    server.start()
    client = subprocess.Popen(
        [sys.executable, "-c", CARRY_ON],
        cwd=tmp_path,
        env=server.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdin is not None
    assert client.stdout is not None
    for _ in range(3):
        for line in client.stdout:
            if line.startswith("logged"):
                break
        server.stop(signal.SIGKILL)
        server.start()
        client.stdin.write("on\n")
        client.stdin.flush()
    out, _ = client.communicate(timeout=120)
    assert out.splitlines()[-1] == '[true, "finished"]'
    assert server.stop() == 0


def test_a_folder_is_served_once(tmp_path: Path) -> None:
    server = Running(tmp_path / "data", tmp_path)
    server.start()
    assert server.key == LOCAL_KEY
    command = [sys.executable, "-m", "mnist_sweep.server", "--port", "0", "--data", str(server.data)]
    second = subprocess.run(command, env=clean_environment(tmp_path), capture_output=True, text=True, timeout=60)
    assert second.returncode == 3
    assert second.stderr == f"mnist-sweep server: {server.data} is already served at {server.url}\n"
    assert server.stop() == 0
    assert not (server.data / "server.json").exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1"])
def test_other_addresses_need_a_key(tmp_path: Path, host: str) -> None:
    command = [sys.executable, "-m", "mnist_sweep.server", "--host", host, "--data", str(tmp_path)]
    done = subprocess.run(command, env=clean_environment(tmp_path), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "give it a --key" in done.stderr


def test_an_unusable_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "mnist_sweep.server", "--port", "0", "--data", str(tmp_path / "file" / "data")]
    done = subprocess.run(command, env=clean_environment(tmp_path), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "cannot use the data folder" in done.stderr


def test_a_full_disk_refuses_the_write_and_keeps_the_rest(store: Store) -> None:
    with store.write() as db:
        db.execute("INSERT INTO meta VALUES ('kept', 'x')")
        db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0] + 8}")
    with pytest.raises(StoreError, match="full"), store.write() as db:
        db.execute("INSERT INTO meta VALUES ('large', ?)", ("x" * 1_000_000,))
    with store.read() as db:
        assert [row[0] for row in db.execute("SELECT key FROM meta WHERE key IN ('kept', 'large')")] == ["kept"]
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


@pytest.mark.skipif(os.name == "nt", reason="no limits of resources on Windows")
def test_a_full_disk_answers_507_and_the_client_may_try_again(tmp_path: Path) -> None:
    # A limit on the size of files stands for the full disk; both are errors of the write itself.
    limited = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000));"
        "from mnist_sweep.server.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    server = ServerProcess(tmp_path / "data", env=clean_environment(tmp_path), program=("-c", limited))
    server.start()
    start = """mutation($n: String, $c: JSONString) {
        upsertBucket(input: {name: $n, modelName: "p", config: $c}) { inserted } }"""
    with httpx.Client(base_url=server.url, auth=("api", server.key), timeout=30) as client:

        def post(name: str, size: int) -> httpx.Response:
            variables = {"n": name, "c": json.dumps({"x": "x" * size})}
            return client.post("/graphql", json={"query": start, "variables": variables})

        assert post("small", 10).status_code == 200
        refused = post("large", 3_000_000)
        assert refused.status_code == 507
        assert "errors" in refused.json()
        counted = client.post("/graphql", json={"query": '{ project(name: "p") { runCount } }'})
        assert counted.json() == {"data": {"project": {"runCount": 1}}}
        assert post("after", 10).status_code == 200
    assert server.stop() == 0


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


def test_contents_nobody_names_are_removed_at_the_next_start(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.blobs.receive() as upload:
        upload.write(b"orphan")
        blob = upload.keep()
    half = store.blobs.receive()
    half.write(b"half")
    store.close()
    assert store.blobs.path(blob.key).read_bytes() == b"orphan"
    again = Store(tmp_path)
    assert not again.blobs.path(blob.key).exists()
    assert list((tmp_path / "files" / "incoming").iterdir()) == []
    again.close()


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
