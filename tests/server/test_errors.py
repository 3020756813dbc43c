"""Trouble that passes is answered with 503, a folder that cannot be used with 507, a bug with 500 and a traceback."""

import contextlib
import errno
import logging
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest

from mnist_sweep.server.errors import BadRequest, NotFound, StoreBusy, StoreError, classify
from mnist_sweep.server.process.launch import ServerProcess
from mnist_sweep.server.serve import FAILED
from mnist_sweep.server.store import Store, files, lines, rows
from mnist_sweep.server.store import db as database
from tests.server.conftest import Running, basic, served

resource = pytest.importorskip("resource")  # Unix

START = 'mutation { upsertBucket(input: {name: "r", modelName: "p"}) { bucket { id } } }'
LOOK = '{ project(name: "p") { run(name: "r") { state } } }'
UPLOAD = """mutation { createRunFiles(input: {entityName: "local", projectName: "p", runName: "r", files: ["f"]}) {
    files { uploadUrl } } }"""


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("reason")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BadRequest("x"), BadRequest),
        (NotFound("x"), NotFound),
        (MemoryError(), StoreBusy),
        (RuntimeError("can't start new thread"), StoreBusy),
        (OSError(errno.EMFILE, "x"), StoreBusy),
        (OSError(errno.ENOMEM, "x"), StoreBusy),
        (OSError(errno.ENOSPC, "x"), StoreError),
        (OSError(errno.EROFS, "x"), StoreError),
        (sqlite_error(sqlite3.SQLITE_BUSY), StoreBusy),
        (sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT), StoreBusy),
        (sqlite_error(sqlite3.SQLITE_CANTOPEN), StoreBusy),
        (sqlite_error(sqlite3.SQLITE_IOERR_NOMEM), StoreBusy),
        (sqlite_error(sqlite3.SQLITE_FULL), StoreError),
        (sqlite_error(sqlite3.SQLITE_IOERR_FSYNC), StoreError),
        (sqlite_error(sqlite3.SQLITE_CORRUPT), StoreError),
        (sqlite_error(sqlite3.SQLITE_ERROR), sqlite3.OperationalError),  # a mistake in a statement is a bug
        (sqlite3.IntegrityError("x"), sqlite3.IntegrityError),
        (BrokenPipeError(errno.EPIPE, "x"), BrokenPipeError),
        (ValueError("x"), ValueError),
    ],
)
def test_who_can_mend_an_error_decides_its_class(error: Exception, kind: type[Exception]) -> None:
    assert type(classify(error)) is kind


@pytest.fixture
def client(store: Store) -> Iterator[httpx.Client]:
    with served(store) as opened:
        assert opened.post("/graphql", json={"query": START}).status_code == 200
        yield opened


def statuses(client: httpx.Client, upload: str) -> dict[str, int]:
    """How requests of each kind are answered."""
    row = {"files": {"wandb-history.jsonl": {"offset": 0, "content": ['{"_step": 0}']}}}
    return {
        "read": client.post("/graphql", json={"query": LOOK}).status_code,
        "write": client.post("/graphql", json={"query": START}).status_code,
        "stream": client.post("/files/local/p/r/file_stream", json=row).status_code,
        "upload": client.put(upload, content=b"x").status_code,
        "page": client.get("/local/p").status_code,
        "news": client.get("/api/local/p/runs?since=0").status_code,
    }


def upload_url(client: httpx.Client) -> str:
    made = client.post("/graphql", json={"query": UPLOAD}).json()
    return str(made["data"]["createRunFiles"]["files"][0]["uploadUrl"])


@contextlib.contextmanager
def no_descriptors(spare: int) -> Iterator[None]:
    """Take all file descriptors of this process but a few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    taken = []
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(spare):
            os.close(taken.pop())
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_reading_connection_without_a_descriptor_is_trouble_that_passes(store: Store) -> None:
    with no_descriptors(0), pytest.raises(StoreBusy), store.read():
        pass
    with store.read() as db:
        assert db.execute("SELECT 1").fetchone()[0] == 1


def test_requests_without_descriptors_are_answered_with_503(client: httpx.Client, store: Store) -> None:
    upload = upload_url(client)
    while not store.db._idle.empty():
        store.db._idle.get_nowait().close()
    with no_descriptors(0):  # the client's connection is open already
        assert client.post("/graphql", json={"query": LOOK}).status_code == 503
        assert client.put(upload, content=b"x").status_code == 503
    assert set(statuses(client, upload).values()) == {200}


def test_a_lock_of_another_program_is_answered_with_503(
    client: httpx.Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = upload_url(client)
    store.db._writer.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(store.folder / "server.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    found = statuses(client, upload)
    assert found["write"] == found["stream"] == found["upload"] == 503
    assert found["read"] == found["page"] == 200
    assert client.get("/healthz").status_code == 507
    other.execute("ROLLBACK")
    other.close()
    assert client.get("/healthz").status_code == 200
    assert set(statuses(client, upload).values()) == {200}


def raising(error: Exception) -> Any:
    def call(*_: object, **__: object) -> NoReturn:
        raise error

    return call


@pytest.mark.parametrize(("error", "status"), [(MemoryError(), 503), (OSError(errno.ENOSPC, "full"), 507)])
def test_trouble_in_the_midst_of_a_request_passes(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    upload = upload_url(client)
    with monkeypatch.context() as patch:
        patch.setattr(rows.Run, "find", raising(error))
        patch.setattr(lines, "put", raising(error))
        patch.setattr(files, "announce", raising(error))
        found = statuses(client, upload)
        assert found["read"] == found["write"] == found["stream"] == status
    assert set(statuses(client, upload).values()) == {200}


@pytest.mark.parametrize("error", [ValueError("a bug"), ZeroDivisionError("a bug"), OverflowError("a bug")])
def test_a_bug_is_answered_with_500_logged_and_leaves_the_connection_usable(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    upload = upload_url(client)
    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR, "mnist_sweep.server"):
        patch.setattr(rows.Run, "find", raising(error))
        patch.setattr(lines, "put", raising(error))
        patch.setattr(rows.Project, "get", raising(error))
        found = statuses(client, upload)
    assert found["read"] == found["write"] == found["stream"] == found["page"] == 500
    logged = [record for record in caplog.records if record.name == "mnist_sweep.server"]
    assert len(logged) >= 4
    assert all(record.exc_info and record.exc_info[1] is error for record in logged)
    assert not [record for record in caplog.records if record.name.startswith("uvicorn")]
    assert set(statuses(client, upload).values()) == {200}


def test_half_of_a_surrogate_pair_is_the_clients_mistake(client: httpx.Client) -> None:
    query = '{ project(name: "p") { runs(filters: "{\\"name\\": \\"\\\\ud800\\"}") { edges { node { id } } } } }'
    assert client.post("/graphql", json={"query": query}).status_code in (200, 400)
    assert client.post("/graphql", json={"query": query}).json()["errors"]


# A data folder that is gone


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
def test_a_folder_that_is_gone_takes_no_writes(client: httpx.Client, store: Store, how: str) -> None:
    upload = upload_url(client)
    if how == "deleted":
        shutil.rmtree(store.folder)
    else:
        store.folder.rename(store.folder.with_name("elsewhere"))
    if how == "replaced":
        other = Store(store.folder)
    found = statuses(client, upload)
    assert found["write"] == found["stream"] == found["upload"] == 507
    assert found["read"] == 507  # a new connection would open another server's database
    assert client.get("/healthz").status_code == 507
    if how == "replaced":
        with other.read() as db:
            assert db.execute("SELECT count(*) FROM runs").fetchone()[0] == 0
        other.close()
    elif how == "moved":
        store.folder.with_name("elsewhere").rename(store.folder)
        assert set(statuses(client, upload).values()) == {200}
    else:
        assert not (store.folder / "server.sqlite3").exists()


# The real client, and a real server process


LOG = """
import json, time, wandb
run = wandb.init(project="p", id="r", settings=wandb.Settings(silent=True))
for step in range(60):
    run.log({"x": step})
    time.sleep(0.2)
run.finish()
api = wandb.Api().run("local/p/r")
print(json.dumps([api.state, len(list(api.scan_history())), api.summary["x"]]))
"""


def test_the_real_client_keeps_every_row_over_a_lock_that_outlasts_the_servers_patience(
    tmp_path: Path,
) -> None:
    running = Running(tmp_path / "data", tmp_path)
    running.start()
    other = sqlite3.connect(running.data / "server.sqlite3", isolation_level=None, timeout=60, check_same_thread=False)
    try:

        def hold() -> None:
            time.sleep(4)
            other.execute("BEGIN IMMEDIATE")
            time.sleep(database._WAIT + 4)
            other.execute("ROLLBACK")

        thread = threading.Thread(target=hold)
        thread.start()
        assert running.python(LOG) == ["finished", 60, 59]
        thread.join()
    finally:
        other.close()
        assert running.stop() == 0


HANGING = """
import time
from mnist_sweep.server import __main__, filestream
filestream.apply = lambda *_: time.sleep(1000)
raise SystemExit(__main__.main())
"""


def test_a_server_whose_request_hangs_ends_when_told_to(tmp_path: Path) -> None:
    hanging = ServerProcess(tmp_path / "data", program=("-c", HANGING))
    hanging.start()
    with httpx.Client(base_url=hanging.url, headers=basic(hanging.key)) as client:
        assert client.post("/graphql", json={"query": START}).status_code == 200
        with pytest.raises(httpx.ReadTimeout):
            client.post("/files/local/p/r/file_stream", json={}, timeout=1)
        assert hanging.stop() == FAILED
    assert "is abandoned" in hanging.output
    assert not (hanging.data / "server.json").exists()
