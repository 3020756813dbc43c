"""Values that the resolvers of artifacts and of collections share, from rows of a real store."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from mnist_sweep.server.gql import ids, nodes
from mnist_sweep.server.gql.registry import Context
from mnist_sweep.server.store import Store, artifacts, collections, projects, runs


@pytest.fixture
def db(store: Store) -> Iterator[sqlite3.Connection]:
    with store.write() as db:
        projects.ensure(db, "team", "p")
        yield db


def test_rows_have_the_type_of_their_table(db: sqlite3.Connection) -> None:
    project = projects.ensure(db, "team", "p")["id"]
    collection = collections.ensure(db, project, "dataset", "digits")
    assert nodes.type_name(collection) == "ArtifactSequence"
    db.execute("UPDATE collections SET portfolio = 1 WHERE id = ?", (collection["id"],))
    assert nodes.type_name(collections.by_id(db, collection["id"])) == "ArtifactPortfolio"
    assert nodes.type_name(runs.by_id(db, runs.create(db, project, "r", "running"))) == "Run"
    assert nodes.type_name({"username": "local"}) == "User"


def test_the_type_of_a_collection_is_a_name_in_its_project(db: sqlite3.Connection) -> None:
    project = projects.ensure(db, "team", "p")["id"]
    collection = collections.ensure(db, project, "dataset", "digits")
    assert nodes.artifact_type(collection) == {
        "id": ids.encode("ArtifactType", collection["id"]),
        "name": "dataset",
        "createdAt": collection["created_at"],
        "project_id": project,
    }


def test_tags_keep_their_order_and_have_ids_of_their_own() -> None:
    found = nodes.tags(["b", "a"])
    assert [tag["name"] for tag in found] == ["b", "a"]
    assert len({tag["id"] for tag in found}) == 2
    assert nodes.tags([]) == []


def test_files_are_downloaded_from_here_and_references_from_their_own_address(
    db: sqlite3.Connection, context: Context
) -> None:
    project = projects.ensure(db, "team", "p")["id"]
    key = artifacts.create(db, collections.ensure(db, project, "dataset", "digits")["id"], digest="d")
    for name in ("a b.txt", "far", "pending"):
        artifacts.announce_file(db, key, name, f"md5-{name}")
    db.execute("UPDATE artifact_files SET blob = 'x', size = 3 WHERE name = 'a b.txt'")
    db.execute("UPDATE artifact_files SET ref = 'https://example.com/far' WHERE name = 'far'")
    request = replace(context, transaction=db)
    page = nodes.file_page(request, key, None, None, None)
    near, far = (edge["node"] for edge in page["edges"])  # the pending one has no contents yet
    assert (near["name"], near["storagePath"], near["size"]) == ("a b.txt", "a b.txt", 3)
    assert urlsplit(near["directUrl"]).path == f"/storage/artifact-file/{near['id']}/a%20b.txt"
    assert far["directUrl"] == "https://example.com/far"
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (2, False)
    named = nodes.file_page(request, key, ["far", "none"], None, 1)
    assert [edge["node"]["name"] for edge in named["edges"]] == ["far"]
