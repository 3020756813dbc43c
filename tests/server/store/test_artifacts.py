"""Artifacts, from their announcement to their deletion."""

import json
import sqlite3
from typing import Any

import pytest

from mnist_sweep.server.errors import BadRequest, NotFound
from mnist_sweep.server.store import Store, artifacts, collections, manifests, projects, runs
from mnist_sweep.server.store.rows import Artifact


def keep(store: Store, content: bytes) -> str:
    with store.blobs.receive() as upload:
        upload.write(content)
        return upload.keep().key


def collection(db: sqlite3.Connection) -> int:
    return int(collections.ensure(db, projects.ensure(db, "local", "p").id, "data", "c").id)


def committed(store: Store, db: sqlite3.Connection, content: bytes, **columns: Any) -> int:
    """A version with one file, `f`."""
    key = artifacts.create(db, collection(db), digest=content.hex(), **columns)
    file = artifacts.announce_file(db, key, "f", "md5-" + content.hex())
    db.execute("UPDATE artifact_files SET blob = ?, size = 1 WHERE id = ?", (keep(store, content), file.id))
    manifest = artifacts.put_manifest(db, key, "m", None, manifests.FULL)
    entries = {"contents": {"f": {"digest": "md5-" + content.hex(), "size": 1}}}
    db.execute("UPDATE manifests SET blob = ? WHERE id = ?", (keep(store, json.dumps(entries).encode()), manifest))
    artifacts.commit(db, store.blobs, key)
    return key


def test_versions_are_numbered_and_the_newest_is_the_latest(store: Store) -> None:
    with store.write() as db:
        first = committed(store, db, b"a", aliases=["best"])
        second = committed(store, db, b"b")
        place = {alias: collections.member(db, collection(db), alias) for alias in ("v0", "v1", "latest", "best", "v2")}
        assert {alias: row and row.artifact_id for alias, row in place.items()} == {
            "v0": first, "v1": second, "latest": second, "best": first, "v2": None,
        }  # fmt: skip
        row = Artifact.by_id(db, first)
        assert (row.state, row.size, row.file_count) == ("COMMITTED", 1, 1)


def test_an_artifact_is_not_committed_without_its_manifest_and_files(store: Store) -> None:
    with store.write() as db:
        key = artifacts.create(db, collection(db), digest="d")
        with pytest.raises(BadRequest, match="manifest has not been uploaded"):
            artifacts.commit(db, store.blobs, key)
        manifest = artifacts.put_manifest(db, key, "m", None, manifests.FULL)
        blob = keep(store, b'{"contents": {"f": {"digest": "x"}}}')
        db.execute("UPDATE manifests SET blob = ? WHERE id = ?", (blob, manifest))
        with pytest.raises(BadRequest, match="file 'f' has not been uploaded"):
            artifacts.commit(db, store.blobs, key)


def test_a_committed_version_can_no_longer_change(store: Store) -> None:
    with store.write() as db:
        key = committed(store, db, b"a")
        artifacts.commit(db, store.blobs, key)  # again, which changes nothing
        for change in (
            lambda: artifacts.announce_file(db, key, "g", "x"),
            lambda: artifacts.put_manifest(db, key, "m", None, manifests.FULL),
        ):
            with pytest.raises(BadRequest, match="can no longer change"):
                change()


def test_the_same_contents_or_client_give_the_same_artifact(store: Store) -> None:
    with store.write() as db:
        project = projects.ensure(db, "local", "p").id
        mine, other = (runs.create(db, project, name, "running") for name in "rs")
        key = committed(store, db, b"a", client_id="one", run_id=mine)
        assert artifacts.create(db, collection(db), digest="else", client_id="one") == key
        again = artifacts.create(
            db, collection(db), digest=b"a".hex(), reuse=True, client_id="two", run_id=other, aliases=["again"]
        )
        assert again == key
        found = artifacts.by_client_id(db, "two")
        assert found is not None
        assert found.id == key
        assert [row.id for row in artifacts.made_by(db, other)] == [key]
        member = collections.member(db, collection(db), "again")
        assert member is not None
        assert member.artifact_id == key


def test_runs_use_artifacts_and_files_are_found_by_digest(store: Store) -> None:
    with store.write() as db:
        run = runs.create(db, projects.ensure(db, "local", "p").id, "r", "running")
        key = committed(store, db, b"a", run_id=run)
        artifacts.use(db, run, key)
        artifacts.use(db, run, key)
        assert [row.id for row in artifacts.used_by(db, run)] == [key]
        assert [row.id for row in artifacts.users_of(db, key)] == [run]
        assert [list(found) for found in artifacts.logged(db, run, "data")] == [["f"]]
        db.execute("UPDATE artifact_files SET digest = 'q80='")
        assert artifacts.file_by_digest(db, "local", "abcd") is not None
        assert artifacts.file_by_digest(db, "other", "abcd") is None
        with pytest.raises(BadRequest, match="not a digest"):
            artifacts.file_by_digest(db, "local", "no")


def test_deleting_the_latest_version_makes_the_one_before_it_the_latest(store: Store) -> None:
    with store.write() as db:
        first, second = committed(store, db, b"a"), committed(store, db, b"b", aliases=["best"])
        with pytest.raises(BadRequest, match="still has aliases: best"):
            artifacts.delete(db, second, with_aliases=False)
        artifacts.delete(db, second, with_aliases=True)
        latest = collections.member(db, collection(db), "latest")
        assert latest is not None
        assert latest.artifact_id == first
        with pytest.raises(NotFound):
            Artifact.by_id(db, second)
