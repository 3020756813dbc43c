"""What the pages show of artifacts, from a real store."""

import sqlite3

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from mnist_sweep.server.errors import NotFound
from mnist_sweep.server.pages import artifacts as pages
from mnist_sweep.server.pages.contexts import ArtifactLink, ArtifactPage, ArtifactRun
from mnist_sweep.server.signed_urls import SignedUrls
from mnist_sweep.server.store import Store, artifacts, collections, projects, runs
from mnist_sweep.server.store.rows import Run


@pytest.fixture
def made(store: Store) -> Store:
    """A store with two versions of `my net`: run `maker` logged both, `taker` used the first."""
    with store.write() as db:
        project = projects.ensure(db, "team", "p").id
        maker = runs.create(db, project, "maker", "finished", display_name="the maker")
        taker = runs.create(db, project, "taker", "finished", display_name="the taker")
        collection = collections.ensure(db, project, "model", "my net").id
        for number in range(2):
            key = artifacts.create(db, collection, digest=str(number), run_id=maker, metadata='{"b": 2, "a": 1}')
            artifacts.announce_file(db, key, "w.txt", "md5")
            db.execute("UPDATE artifact_files SET blob = 'x', size = 7 WHERE artifact_id = ?", (key,))
            db.execute("UPDATE artifacts SET state = 'COMMITTED' WHERE id = ?", (key,))
            collections.join(db, collection, key)
            collections.set_aliases(db, collection, key, ["latest"])
            if number == 0:
                collections.set_aliases(db, collection, key, ["best"])
                artifacts.use(db, taker, key)
    return store


def page(db: sqlite3.Connection, **named: str) -> ArtifactPage:
    path = {"entity": "team", "project": "p", "type": "model", "name": "my net"} | named
    return pages.artifact(SignedUrls("http://host", "secret"), db, Request({"type": "http", "path_params": path}))


def test_a_version_has_its_runs_files_and_metadata(made: Store) -> None:
    with made.read() as db:
        shown = page(db, version="v0")
    assert (shown.title, shown.collection.type, shown.metadata) == ("my net:v0", "model", [("a", 1), ("b", 2)])
    assert shown.runs == [
        ArtifactRun(relation="logged by", label="the maker", address="/team/p/runs/maker"),
        ArtifactRun(relation="used by", label="the taker", address="/team/p/runs/taker"),
    ]
    (file,) = shown.files
    assert (file.name, file.size, file.reference) == ("w.txt", 7, None)
    assert (file.href or "").startswith("http://host/storage/artifact-file/")
    assert [(one.address, one.current, one.aliases) for one in shown.versions] == [
        ("/team/p/artifacts/model/my%20net/v1", False, "latest"),
        ("/team/p/artifacts/model/my%20net/v0", True, "best"),
    ]


def test_without_a_version_the_latest_is_shown(made: Store) -> None:
    with made.read() as db:
        assert page(db).title == "my net:v1"
        assert page(db, version="best").title == "my net:v0"


def test_another_version_type_or_name_is_not_found(made: Store) -> None:
    with made.read() as db:
        for wrong in ({"version": "v9"}, {"type": "dataset"}):
            with pytest.raises(HTTPException, match="no such artifact"):
                page(db, **wrong)
        with pytest.raises(NotFound):
            page(db, name="other")


def test_a_run_links_to_what_it_logged_and_used(made: Store) -> None:
    with made.read() as db:
        logged = pages.of_run(db, Run.get(db, "team", "p", "maker"))
        used = pages.of_run(db, Run.get(db, "team", "p", "taker"))
    assert {(link.relation, link.name) for link in logged} == {("logged", "my net:v0"), ("logged", "my net:v1")}
    address = "/team/p/artifacts/model/my%20net/v0"
    assert used == [ArtifactLink(relation="used", type="model", name="my net:v0", address=address)]
