"""What the server lets in, and how it says no."""

import base64
import gzip
import json
import zlib
from typing import Any

import httpx
import pytest

from mnist_sweep.server import LOCAL_KEY, Store, create_app

from .conftest import AUTHORIZATION, Ask, served

VIEWER = {"query": "{ viewer { entity } }"}
START = 'mutation($n: String) { upsertBucket(input: {name: $n, modelName: "p"}) { bucket { id } } }'
FILES = """mutation($files: [String!]!, $run: String!) {
  createRunFiles(input: {entityName: "local", projectName: "p", runName: $run, files: $files}) {
    files { name uploadUrl } } }"""
LIST = """query($run: String, $names: [String]) { project(name: "p") { run(name: $run) {
  fileCount files(names: $names) { edges { node { name url directUrl sizeBytes md5 mimetype } } } } } }"""


def basic(key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"api:{key}".encode()).decode()}


# --- keys -------------------------------------------------------------------------------------------------------------


def test_on_loopback_any_key_of_the_client_is_let_in(client: httpx.Client) -> None:
    for key in (LOCAL_KEY, "0" * 40, "x" * 86):
        assert client.post("/graphql", json=VIEWER, headers=basic(key)).json() == {
            "data": {"viewer": {"entity": "local"}}
        }
    assert client.post("/graphql", json=VIEWER, headers={"Authorization": f"Bearer {LOCAL_KEY}"}).status_code == 200


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !", "Basic " + base64.b64encode(b"api:short").decode(), "Digest x", "Bearer x"]
)
def test_no_key_no_answer(client: httpx.Client, header: str) -> None:
    for address in ("/graphql", "/files/local/p/r/file_stream"):
        answer = client.post(address, json=VIEWER, headers={"Authorization": header})
        assert answer.status_code == 401
        assert "key" in answer.json()["errors"][0]["message"]


def test_a_given_key_is_the_only_one_and_guards_the_pages_too(store: Store) -> None:
    key = "k" * 40
    with served(create_app(store, key=key)) as client:
        assert client.post("/graphql", json=VIEWER, headers=basic(key)).status_code == 200
        assert client.post("/graphql", json=VIEWER, headers=basic("k" * 41)).status_code == 401
        assert client.get("/", headers=basic(LOCAL_KEY)).status_code == 401
        assert client.get("/", headers=basic(LOCAL_KEY)).headers["www-authenticate"].startswith("Basic")
        assert client.get("/", headers=basic(key)).status_code == 200


def test_a_web_page_cannot_reach_it_under_another_name(client: httpx.Client) -> None:
    assert client.post("/graphql", json=VIEWER, headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400


# --- files ------------------------------------------------------------------------------------------------------------


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
    assert found <= {"files", "server.sqlite3", "server.sqlite3-wal", "server.sqlite3-shm"}
    for path in (kept.folder / "files").rglob("*"):
        assert path.is_dir() or len(path.name) == 64
    assert client.get("/files/local/p/r/..%2f..%2fserver.sqlite3").status_code == 400


def test_too_large_a_file_is_refused_and_not_kept(store: Store) -> None:
    with served(create_app(store, upload_limit=1000)) as client:

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


# --- requests that make no sense ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "GraphQL request is"),
        (b'"query"', "GraphQL request is"),
        (b"null", "GraphQL request is"),
        (b'{"query": 1}', "GraphQL request is"),
        (b'{"query": "{viewer{id}}", "variables": []}', None),
        (b'{"query": "{viewer{id}}", "variables": [1]}', "GraphQL request is"),
        (b'{"query": "{viewer{id}}", "operationName": 3}', "GraphQL request is"),
        (b'{"query": "{viewer{id}}", "operationName": "X"}', "one operation"),
        (b'{"query": ""}', "not GraphQL"),
        (b'{"query": "{"}', "not GraphQL"),
        (b'{"query": "query A {viewer{id}} query B {viewer{id}}"}', "one operation"),
        (b'{"query": "{project{run{...F}}} fragment F on Run {project{run{...F}}}"}', "contains itself"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_malformed_graphql_gets_a_reason(client: httpx.Client, body: bytes, reason: str | None) -> None:
    answer = client.post("/graphql", content=body)
    if reason is None:
        assert answer.status_code == 200
        return
    assert answer.status_code == 400
    assert reason in answer.json()["errors"][0]["message"]


def test_requests_that_would_run_away_are_refused(client: httpx.Client) -> None:
    deep = "{project" * 60 + "{id}" + "}" * 60
    wide = "{" + " ".join(f"a{i}: viewer {{ id }}" for i in range(15_000)) + "}"
    doubling = "{project{run{...F0}}}" + "".join(
        f" fragment F{i} on Run {{ a: project {{ run {{ ...F{i + 1} }} }} b: project {{ run {{ ...F{i + 1} }} }} }}"
        for i in range(14)
    )
    for query in (deep, wide, doubling + " fragment F14 on Run { id }"):
        answer = client.post("/graphql", json={"query": query})
        assert answer.status_code == 400, query[:50]
        assert "request asks" in answer.text or "not GraphQL" in answer.text


def test_gzip_is_unpacked_bounded_and_checked(client: httpx.Client) -> None:
    packed = gzip.compress(json.dumps(VIEWER).encode())
    gzipped = {"Content-Encoding": "gzip"}
    assert client.post("/graphql", content=packed, headers=gzipped).status_code == 200
    assert "ends early" in client.post("/graphql", content=packed[:-9], headers=gzipped).text
    assert "not valid gzip" in client.post("/graphql", content=b"x" + packed, headers=gzipped).text
    assert client.post("/graphql", content=packed, headers={"Content-Encoding": "br"}).status_code == 415
    maker = zlib.compressobj(wbits=31)
    bomb = maker.compress(b"0" * 200_000_000) + maker.flush()
    assert len(bomb) < 1_000_000
    assert client.post("/graphql", content=bomb, headers=gzipped).status_code == 413


def test_ten_megabytes_of_text_are_fine(client: httpx.Client, ask: Ask) -> None:
    text = "a" * 10_000_000
    assert ask("query($n: String) { project(name: $n) { id } }", n=text) == {"project": None}
    ask(START, n="r")
    body = {"files": {"output.log": {"offset": 0, "content": [text]}}}
    assert client.post("/files/local/p/r/file_stream", json=body).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"1",
        b'{"files": [1]}',
        b'{"files": {"wandb-history.jsonl": 1}}',
        b'{"files": {"wandb-history.jsonl": {"offset": "0", "content": []}}}',
        b'{"files": {"wandb-history.jsonl": {"offset": -1, "content": ["{}"]}}}',
        b'{"files": {"wandb-history.jsonl": {"offset": 9223372036854775807, "content": ["{}", "{}"]}}}',
        b'{"files": {"wandb-history.jsonl": {"offset": 0, "content": "{}"}}}',
        b'{"files": {"wandb-history.jsonl": {"offset": 0, "content": [{}]}}}',
        b'{"files": {"wandb-history.jsonl": {"offset": 0, "content": ["[]"]}}}',
        b'{"files": {"wandb-history.jsonl": {"offset": 0, "content": ["{\\"a\\": 1}", "{"]}}}',
        b'{"files": {"wandb-summary.json": {"offset": 0, "content": ["no"]}}}',
        b'{"files": {"output.log": {"offset": 0, "content": ["\\ud800"]}}}',
    ],
)
def test_a_wrong_file_stream_request_is_refused_whole(client: httpx.Client, ask: Ask, body: bytes) -> None:
    ask(START, n="r")
    answer = client.post("/files/local/p/r/file_stream", content=body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["message"]
    look = 'query { project(name: "p") { run(name: "r") { historyLineCount logLineCount summaryMetrics } } }'
    run = ask(look)["project"]["run"]
    assert run == {"historyLineCount": 0, "logLineCount": 0, "summaryMetrics": "{}"}


def test_the_file_stream_of_a_run_that_is_not_there_is_a_404(client: httpx.Client) -> None:
    assert client.post("/files/local/p/none/file_stream", json={}).status_code == 404


def test_what_json_has_no_number_for_becomes_a_word(client: httpx.Client, ask: Ask) -> None:
    ask(START, n="r")
    row = '{"_step": 0, "a": NaN, "b": Infinity, "c": -Infinity, "d": 1e999, "e": [NaN]}'
    stream = {
        "wandb-history.jsonl": {"offset": 0, "content": [row]},
        "wandb-summary.json": {"offset": 0, "content": [row]},
    }
    assert client.post("/files/local/p/r/file_stream", json={"files": stream}).status_code == 200
    look = 'query { project(name: "p") { run(name: "r") { history summaryMetrics sampledHistory(specs: ["{}"]) } } }'
    run = ask(look)["project"]["run"]
    words = {"_step": 0, "a": "NaN", "b": "Infinity", "c": "-Infinity", "d": "Infinity", "e": ["NaN"]}
    assert json.loads(run["history"][0]) == json.loads(run["summaryMetrics"]) == run["sampledHistory"][0][0] == words
    assert "NaN" not in client.post("/graphql", json={"query": look}).text.replace('\\"NaN\\"', "").replace('"NaN"', "")


def test_fields_and_inputs_of_a_newer_client_are_passed_over(client: httpx.Client) -> None:
    query = """mutation($input: CreateArtifactInput!) { createArtifact(input: $input) { artifact { id novelty } } }"""
    wanted = {"entityName": "local", "projectName": "p", "artifactTypeName": "t", "artifactCollectionName": "c",
              "digest": "d", "fromTheFuture": {"x": 1}}  # fmt: skip
    answer = client.post("/graphql", json={"query": query, "variables": {"input": wanted}}).json()
    assert "errors" not in answer
    assert list(answer["data"]["createArtifact"]["artifact"]) == ["id"]


def test_an_artifact_without_its_files_is_not_committed(client: httpx.Client, ask: Ask) -> None:
    create = """mutation { createArtifact(input: {entityName: "local", projectName: "p", artifactTypeName: "t",
        artifactCollectionName: "c", digest: "d"}) { artifact { id state } } }"""
    key = ask(create)["createArtifact"]["artifact"]["id"]
    commit = {"query": "mutation($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { id } } }",
              "variables": {"id": key}}  # fmt: skip
    assert "manifest" in client.post("/graphql", json=commit).json()["errors"][0]["message"]
    announce = """mutation($id: ID!) { createArtifactManifest(input: {artifactID: $id, name: "m", digest: "d",
        entityName: "local", projectName: "p"}) { artifactManifest { file { uploadUrl } } } }"""
    url = ask(announce, id=key)["createArtifactManifest"]["artifactManifest"]["file"]["uploadUrl"]
    httpx.put(url, content=json.dumps({"contents": {"a.txt": {"digest": "x", "size": 1}}}))
    assert "a.txt" in client.post("/graphql", json=commit).json()["errors"][0]["message"]


def test_unknown_addresses_are_404(client: httpx.Client) -> None:
    assert client.post("/sdk/otel/v1/metrics", content=b"x").status_code in (404, 405)
    assert client.get("/local/nothing").status_code == 404
    assert client.get("/", headers={"Authorization": AUTHORIZATION}).status_code == 200
