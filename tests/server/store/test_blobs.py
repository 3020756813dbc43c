"""Contents on disk: what is removed at a start, and what never is."""

import hashlib
import sqlite3
from pathlib import Path

import pytest

from mnist_sweep.server.store import Store, StoreError
from mnist_sweep.server.store.blobs import Blobs


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


def stored(folder: Path, content: bytes) -> Path:
    """Contents in a data folder, as an upload that a run's row names."""
    store = Store(folder)
    with store.blobs.receive() as upload:
        upload.write(content)
        key = upload.keep().key
    with store.write() as db:
        db.execute("INSERT INTO projects (entity, name, created_at) VALUES ('local', 'p', '')")
        db.execute(
            "INSERT INTO runs (project_id, name, state, created_at, updated_at, heartbeat_at, version)"
            " SELECT id, 'r', 'finished', '', '', '', 0 FROM projects"
        )
        db.execute("INSERT INTO files (run_id, name, blob, updated_at) SELECT id, 'f', ?, '' FROM runs", (key,))
    store.close()
    return store.blobs.path(key)


@pytest.mark.parametrize("database", ["missing", "empty", "without tables"])
def test_contents_survive_a_start_without_their_database(tmp_path: Path, database: str) -> None:
    path = stored(tmp_path, b"precious")
    saved = (tmp_path / "server.sqlite3").read_bytes()
    for file in tmp_path.glob("server.sqlite3*"):
        file.unlink()
    if database == "empty":
        (tmp_path / "server.sqlite3").touch()
    elif database == "without tables":
        db = sqlite3.connect(tmp_path / "server.sqlite3")
        db.execute("PRAGMA user_version = 1")
        db.close()
    for _ in range(2):  # the refusal itself must not leave a database behind
        with pytest.raises(StoreError, match="restore the database"):
            Store(tmp_path)
        assert path.read_bytes() == b"precious"
    (tmp_path / "server.sqlite3").write_bytes(saved)
    Store(tmp_path).close()
    assert path.read_bytes() == b"precious"


def test_other_peoples_files_stay_and_prevent_nothing(tmp_path: Path) -> None:
    path = stored(tmp_path, b"x")
    files = tmp_path / "files"
    digest = hashlib.sha256(b"mine").hexdigest()
    for name in (
        ".DS_Store", "notes.txt", "lost+found/inode", "photos/holiday.jpg", "ab/holiday.jpg", f"photos/{digest}",
        f"zz/{digest}", f"{'00' if digest[:2] != '00' else '01'}/{digest}", "incoming/notes.txt", "incoming/.DS_Store",
        f"{digest[:2]}/{digest}/inside.txt",
    ):  # fmt: skip
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).write_text("mine")
    (files / "locked").mkdir(mode=0)
    before = sorted(entry for entry in files.rglob("*") if entry.is_file())
    Store(tmp_path).close()
    assert sorted(entry for entry in files.rglob("*") if entry.is_file()) == before
    assert path.exists()


def test_a_folder_of_somebody_elses_files_is_no_reason_to_refuse_a_new_database(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "holiday.jpg").touch()
    assert not Blobs(tmp_path / "files").any()
    Store(tmp_path).close()
    assert (tmp_path / "files" / "holiday.jpg").exists()
