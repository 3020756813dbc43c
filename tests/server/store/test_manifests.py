"""Manifests, whole and in parts."""

import json
import sqlite3
from typing import Any

import pytest

from mnist_sweep.server.errors import BadRequest, NotFound
from mnist_sweep.server.store import Store, artifacts, collections, manifests, projects
from mnist_sweep.server.store.rows import Manifest


def artifact(db: sqlite3.Connection) -> int:
    project = projects.ensure(db, "local", "p").id
    return artifacts.create(db, collections.ensure(db, project, "data", "c").id, digest="d")


def send(store: Store, db: sqlite3.Connection, key: int, kind: str, contents: object) -> int:
    row = manifests.announce(db, key, "m", None, kind)
    with store.blobs.receive() as upload:
        upload.write(contents if isinstance(contents, bytes) else json.dumps({"contents": contents}).encode())
        blob = upload.keep()
    db.execute("UPDATE manifests SET blob = ?, size = ? WHERE id = ?", (blob.key, blob.size, row))
    return row


def entry(digest: str) -> dict[str, Any]:
    return {"digest": digest}


def test_a_full_manifest_is_taken_as_sent_and_replaced_by_the_next(store: Store) -> None:
    with store.write() as db:
        key = artifact(db)
        first = send(store, db, key, manifests.FULL, {"a": entry("1")})
        assert send(store, db, key, manifests.FULL, {"b": entry("2")}) == first
        assert manifests.complete(db, store.blobs, key, None) == ({"b": entry("2")}, False)
        with pytest.raises(NotFound):
            Manifest.by_id(db, first + 1)


def test_an_incremental_manifest_adds_to_the_version_before(store: Store) -> None:
    with store.write() as db:
        before, key = artifact(db), artifact(db)
        send(store, db, before, manifests.FULL, {"a": entry("1"), "b": entry("2")})
        send(store, db, key, manifests.INCREMENTAL, {"b": entry("3")})
        assert manifests.complete(db, store.blobs, key, before) == ({"a": entry("1"), "b": entry("3")}, True)
        full = manifests.find(db, key)
        assert full is not None
        assert full.type == manifests.FULL


def test_patches_of_several_runs_are_put_together(store: Store) -> None:
    with store.write() as db:
        key = artifact(db)
        assert send(store, db, key, manifests.PATCH, {"a": entry("1")}) != send(
            store, db, key, manifests.PATCH, {"b": entry("2")}
        )
        assert manifests.complete(db, store.blobs, key, None) == ({"a": entry("1"), "b": entry("2")}, True)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b'{"contents": 1}', b'{"contents": {"a": 1}}'])
def test_what_is_no_manifest_is_refused(store: Store, content: bytes) -> None:
    with store.write() as db:
        key = artifact(db)
        send(store, db, key, manifests.FULL, content)
        with pytest.raises(BadRequest):
            manifests.complete(db, store.blobs, key, None)
