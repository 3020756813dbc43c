"""Contents go up and down through addresses made for them."""

import gzip
from typing import Any

import httpx
import pytest

from mnist_sweep.server.store import Store
from tests.server.conftest import Ask, served

START = 'mutation($n: String) { upsertBucket(input: {name: $n, modelName: "p"}) { bucket { id } } }'

FILES = """mutation($files: [String!]!, $run: String!) {
  createRunFiles(input: {entityName: "local", projectName: "p", runName: $run, files: $files}) {
    files { name uploadUrl } } }"""

LIST = """query($run: String, $names: [String]) { project(name: "p") { run(name: $run) {
  fileCount files(names: $names) { edges { node { name url directUrl sizeBytes md5 mimetype } } } } } }"""


def put(client: httpx.Client, ask: Ask, run: str, name: str, content: bytes) -> httpx.Response:
    ask(START, n=run)
    url = ask(FILES, run=run, files=[name])["createRunFiles"]["files"][0]["uploadUrl"]
    return httpx.put(url, content=content)


def test_a_file_goes_up_without_a_key_and_comes_down_the_same(client: httpx.Client, ask: Ask) -> None:
    content = bytes(range(256)) * 5000
    assert put(client, ask, "r", "deep/er/a b%.bin", content).status_code == 200
    (edge,) = ask(LIST, run="r", names=["./deep/er/a b%.bin"])["project"]["run"]["files"]["edges"]
    node = edge["node"]
    assert (node["name"], node["sizeBytes"]) == ("deep/er/a b%.bin", len(content))
    down = httpx.get(node["directUrl"])
    assert down.content == content
    assert down.headers["content-disposition"] == "attachment"
    assert down.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in down.headers["content-security-policy"]
    assert client.get("/files/local/p/r/deep/er/a b%25.bin").content == content
    assert httpx.get(node["directUrl"], headers={"Range": "bytes=256-511"}).content == bytes(range(256))


def test_signed_addresses_are_good_for_what_they_were_made_for_only(client: httpx.Client, ask: Ask) -> None:
    ask(START, n="r")
    up = httpx.URL(ask(FILES, run="r", files=["a"])["createRunFiles"]["files"][0]["uploadUrl"])
    assert httpx.put(up, content=b"a").status_code == 200
    assert httpx.get(up).status_code == 403
    number = up.path.split("/")[3]
    for wrong in (
        up.copy_set_param("signature", "0" * 64),
        up.copy_set_param("signature", "é"),
        up.copy_set_param("expires", "9" * 11),
        up.copy_set_param("expires", "١٢٣"),
        up.copy_set_param("expires", "1"),
        up.copy_with(path=f"/storage/file/{int(number) + 1}/a"),
        up.copy_with(path=f"/storage/manifest/{number}/a"),
    ):
        assert httpx.put(wrong, content=b"b").status_code == 403
    assert httpx.put(up.copy_with(path=f"/storage/other/{number}/a"), content=b"b").status_code == 404
    assert httpx.put(up.copy_with(path=f"/storage/file/{'9' * 30}/a"), content=b"b").status_code == 404


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../../x", "..", ".", "", "C:\\x", "..\\x", "a\x00b", "a\nb", "x" * 2000, "/"]
)
def test_names_cannot_leave_their_run(client: httpx.Client, ask: Ask, name: str) -> None:
    ask(START, n="r")
    body = {"query": FILES, "variables": {"run": "r", "files": [name]}}
    answer = client.post("/graphql", json=body)
    assert answer.status_code == 200
    assert "file name" in answer.json()["errors"][0]["message"]
    assert ask(LIST, run="r")["project"]["run"]["fileCount"] == 0


def test_names_that_look_like_paths_are_only_names(client: httpx.Client, ask: Ask, kept: Store) -> None:
    name = "%2e%2e/%2e%2e/passwd"
    assert put(client, ask, "r", name, b"x").status_code == 200
    found = {path.name for path in kept.folder.iterdir()}
    assert found <= {"files", "key", "server.sqlite3", "server.sqlite3-wal", "server.sqlite3-shm"}
    for path in (kept.folder / "files").rglob("*"):
        assert path.is_dir() or len(path.name) == 64
    assert client.get("/files/local/p/r/..%2f..%2fserver.sqlite3").status_code == 400


def test_too_large_a_file_is_refused_and_not_kept(store: Store) -> None:
    with served(store, upload_limit=1000) as client:

        def ask(query: str, **variables: Any) -> dict[str, Any]:
            answer = client.post("/graphql", json={"query": query, "variables": variables}).json()
            data: dict[str, Any] = answer["data"]
            return data

        assert put(client, ask, "r", "fits", b"x" * 1000).status_code == 200
        assert put(client, ask, "r", "large", b"x" * 1001).status_code == 413
        ask(START, n="r")
        url = ask(FILES, run="r", files=["packed"])["createRunFiles"]["files"][0]["uploadUrl"]
        bomb = gzip.compress(b"0" * 100_000)
        assert httpx.put(url, content=bomb, headers={"Content-Encoding": "gzip"}).status_code == 413
    assert list((store.folder / "files" / "incoming").iterdir()) == []
