"""What a run logs, line by line."""

import json

import httpx
import pytest

from mnist_sweep.server.store import Store, runs
from tests.server.conftest import Ask

START = 'mutation($n: String) { upsertBucket(input: {name: $n, modelName: "p"}) { bucket { id } } }'


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


def test_a_request_is_one_change_of_its_run(client: httpx.Client, ask: Ask, kept: Store) -> None:
    ask(START, n="r")
    row = {"files": {"wandb-history.jsonl": {"offset": 0, "content": ['{"_step": 0}']}}}
    for more in ({}, {"preempting": True}, {"complete": True, "exitcode": 1}):
        with kept.read() as db:
            before = runs.version(db)
        assert client.post("/files/local/p/r/file_stream", json=row | more).status_code == 200
        with kept.read() as db:
            run = db.execute("SELECT id, version, state FROM runs").fetchone()
            logged = db.execute("SELECT version FROM lines WHERE run_id = ?", (run["id"],)).fetchone()
            assert runs.version(db) == run["version"] == logged["version"] == before + 1
    assert run["state"] == "preempted"
