"""A run's files in GraphQL."""

from dataclasses import replace
from urllib.parse import urlsplit

import httpx

from mnist_sweep.server.gql import Context, files
from mnist_sweep.server.store import Store, artifacts, collections, projects
from tests.server.conftest import Ask

START = 'mutation { upsertBucket(input: {name: "r", modelName: "p"}) { bucket { id } } }'
CREATE = """mutation($files: [String!]!) { createRunFiles(input: {entityName: "local", projectName: "p", runName: "r",
    files: $files}) { files { id name uploadUrl } } }"""
LIST = """query($pattern: String, $first: Int) { project(name: "p") { run(name: "r") { fileCount
    files(pattern: $pattern, first: $first) { totalCount edges { node { id name url directUrl sizeBytes md5 mimetype } }
    pageInfo { hasNextPage } } } } }"""


def test_files_are_announced_sent_listed_and_deleted(client: httpx.Client, ask: Ask) -> None:
    ask(START)
    made = ask(CREATE, files=["a.txt", "media/b.png"])["createRunFiles"]["files"]
    assert [file["name"] for file in made] == ["a.txt", "media/b.png"]
    assert client.put(made[0]["uploadUrl"], content=b"abc").status_code == 200
    run = ask(LIST)["project"]["run"]
    sent, announced = (edge["node"] for edge in run["files"]["edges"])
    assert (sent["sizeBytes"], sent["mimetype"], sent["md5"]) == (3, "text/plain", "kAFQmDzST7DWlj99KOF/cg==")
    assert client.get(sent["url"]).content == client.get(sent["directUrl"]).content == b"abc"
    assert (announced["url"], announced["mimetype"]) == (None, "image/png")
    page = ask(LIST, first=1)["project"]["run"]["files"]
    assert (page["totalCount"], len(page["edges"]), page["pageInfo"]["hasNextPage"]) == (2, 1, True)
    assert len(ask(LIST, pattern="media/%")["project"]["run"]["files"]["edges"]) == 1
    ask("mutation($files: [ID!]!) { deleteFiles(input: {files: $files}) { success } }", files=[sent["id"]])
    assert ask(LIST)["project"]["run"]["fileCount"] == 1
    assert client.get(sent["url"]).status_code == 404


def test_artifact_files_are_downloaded_from_here_and_references_from_their_own_address(
    store: Store, context: Context
) -> None:
    with store.write() as db:
        project = projects.ensure(db, "team", "p").id
        key = artifacts.create(db, collections.ensure(db, project, "dataset", "digits").id, digest="d")
        for name in ("a b.txt", "far", "pending"):
            artifacts.announce_file(db, key, name, f"md5-{name}")
        db.execute("UPDATE artifact_files SET blob = 'x', size = 3 WHERE name = 'a b.txt'")
        db.execute("UPDATE artifact_files SET ref = 'https://example.com/far' WHERE name = 'far'")
    with store.read() as db:
        request = replace(context, transaction=db)
        near, far = artifacts.files(db, key)  # the pending one has no contents yet
        assert urlsplit(files.direct_url(near, request) or "").path == f"/storage/artifact-file/{near.id}/a%20b.txt"
        assert (files.direct_url(far, request), files.upload_url(far, request)) == ("https://example.com/far", None)
        assert (near.name, files.storage_path(near, request), near.size) == ("a b.txt", "a b.txt", 3)
        assert [file.name for file in artifacts.files(db, key, ["far", "none"])] == ["far"]
