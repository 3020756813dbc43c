"""Collections of artifacts, their members and aliases."""

import sqlite3

import pytest

from mnist_sweep.server.errors import BadRequest, NotFound
from mnist_sweep.server.store import Store, artifacts, collections, projects
from mnist_sweep.server.store.rows import Collection


def test_a_collection_keeps_its_type(store: Store) -> None:
    with store.write() as db:
        project = projects.ensure(db, "local", "p").id
        row = collections.ensure(db, project, "data", "c")
        assert collections.ensure(db, project, "data", "c").id == row.id
        with pytest.raises(BadRequest, match="already exists with type 'data'"):
            collections.ensure(db, project, "model", "c")
        with pytest.raises(BadRequest, match="not usable"):
            collections.ensure(db, project, "data", "a/b")
        collections.ensure(db, project, "model", "m")
        assert [found.type for found in collections.types(db, project)] == ["data", "model"]
        assert [found.name for found in collections.listing(db, project, "data")] == ["c"]
        with pytest.raises(NotFound):
            Collection.get(db, "local", "p", "none")


def test_fields_are_changed_one_by_one(store: Store) -> None:
    with store.write() as db:
        key = collections.ensure(db, projects.ensure(db, "local", "p").id, "data", "c").id
        collections.update(db, key, description="about", tags=["x"])
        row = collections.update(db, key, name="d")
        assert (row.name, row.description, row.tags) == ("d", "about", '["x"]')
        Collection.delete(db, key)
        with pytest.raises(NotFound):
            Collection.by_id(db, key)


def two_versions(db: sqlite3.Connection) -> tuple[int, int, int, int]:
    """Create a collection with two versions; return the row ids of project, collection and versions."""
    project = projects.ensure(db, "local", "p").id
    key = collections.ensure(db, project, "data", "c").id
    first, second = (artifacts.create(db, key, digest=name) for name in "ab")
    for artifact in (first, second):
        collections.join(db, key, artifact)
    return project, key, first, second


def test_version_numbers_are_never_reused(store: Store) -> None:
    with store.write() as db:
        _, key, _, second = two_versions(db)
        collections.leave(db, key, second)
        collections.join(db, key, second)
        assert [row.version for row in collections.members(db, key)] == [2, 0]
        assert [row.version for row in collections.members(db, key, order="+version_index")] == [0, 2]
        assert [row.version for row in collections.memberships(db, second)] == [2]


def test_an_alias_names_one_version(store: Store) -> None:
    with store.write() as db:
        project, key, first, second = two_versions(db)
        for artifact in (first, second):
            collections.set_aliases(db, key, artifact, ["best", "latest"])
        found = collections.find_member(db, project, "c:best")
        assert found is not None
        assert found.artifact_id == second
        assert collections.find_member(db, project, "none:best") is None
        collections.drop_aliases(db, key, second, ["best"])
        assert [row.alias for row in collections.aliases(db, artifact_id=second)] == ["latest"]
        with pytest.raises(BadRequest, match="is a version number"):
            collections.set_aliases(db, key, first, ["v3"])
