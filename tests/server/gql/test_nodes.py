"""What several modules of resolvers share, from rows of a real store."""

import sqlite3
from collections.abc import Iterator

import pytest

from mnist_sweep.server.gql import nodes
from mnist_sweep.server.store import Store, collections, projects, runs
from mnist_sweep.server.store.rows import Collection, Run


@pytest.fixture
def db(store: Store) -> Iterator[sqlite3.Connection]:
    with store.write() as db:
        projects.ensure(db, "team", "p")
        yield db


def test_rows_have_the_type_of_their_table(db: sqlite3.Connection) -> None:
    project = projects.ensure(db, "team", "p").id
    collection = collections.ensure(db, project, "dataset", "digits")
    assert nodes.type_name(collection) == "ArtifactSequence"
    db.execute("UPDATE collections SET portfolio = 1 WHERE id = ?", (collection.id,))
    assert nodes.type_name(Collection.by_id(db, collection.id)) == "ArtifactPortfolio"
    assert nodes.type_name(Run.by_id(db, runs.create(db, project, "r", "running"))) == "Run"
    assert nodes.type_name({"username": "local"}) == "User"


def test_tags_keep_their_order_and_have_ids_of_their_own() -> None:
    found = nodes.tags(["b", "a"])
    assert [tag["name"] for tag in found] == ["b", "a"]
    assert len({tag["id"] for tag in found}) == 2
    assert nodes.tags([]) == []
