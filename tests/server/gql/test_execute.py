"""Requests that make no sense, or would run away."""

import httpx
import pytest


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
    long = "{viewer{id}} #" + "x" * 1_000_000
    for query in (deep, wide, doubling + " fragment F14 on Run { id }", long):
        answer = client.post("/graphql", json={"query": query})
        assert answer.status_code == 400, query[:50]
        assert any(reason in answer.text for reason in ("request asks", "not GraphQL", "query is longer"))


def test_fields_and_inputs_of_a_newer_client_are_passed_over(client: httpx.Client) -> None:
    query = """mutation($input: CreateArtifactInput!) { createArtifact(input: $input) { artifact { id novelty } } }"""
    wanted = {"entityName": "local", "projectName": "p", "artifactTypeName": "t", "artifactCollectionName": "c",
              "digest": "d", "fromTheFuture": {"x": 1}}  # fmt: skip
    answer = client.post("/graphql", json={"query": query, "variables": {"input": wanted}}).json()
    assert "errors" not in answer
    assert list(answer["data"]["createArtifact"]["artifact"]) == ["id"]


HEARTBEAT = 'agentHeartbeat(input: {id: "QWdlbnQ6MQ=="}) { commands }'


@pytest.mark.parametrize(
    "query",
    [
        f"mutation {{ ... on Mutation {{ {HEARTBEAT} }} }}",
        f"mutation {{ ... {{ ... on Mutation {{ {HEARTBEAT} }} }} }}",
        f"mutation {{ ...F }} fragment F on Mutation {{ ...G }} fragment G on Mutation {{ {HEARTBEAT} }}",
        f"mutation {{ __typename {HEARTBEAT} }}",
    ],
)
def test_a_heartbeat_inside_a_fragment_blocks_nobody(client: httpx.Client, query: str) -> None:
    """It has transactions of its own; inside another one it would wait for itself, and all writes with it."""
    answer = client.post("/graphql", json={"query": query}, timeout=10)
    assert answer.status_code == 404
    assert client.post("/graphql", json={"query": CREATE}, timeout=10).json()["data"]


CREATE = 'mutation { upsertBucket(input: {name: "r", modelName: "p"}) { bucket { id } } }'


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (f"mutation {{ ...F {HEARTBEAT} }} fragment F on Mutation {{ {CREATE[11:-2]} }}", "the only field"),
        (f"mutation {{ a: {HEARTBEAT} ... on Mutation {{ b: {HEARTBEAT} }} }}", "the only field"),
        ("subscription { runs { id } }", "no subscriptions"),
    ],
)
def test_what_needs_two_kinds_of_transaction_is_refused(client: httpx.Client, query: str, reason: str) -> None:
    answer = client.post("/graphql", json={"query": query})
    assert answer.status_code == 400
    assert reason in answer.json()["errors"][0]["message"]


def test_what_the_schema_lacks_is_refused_inside_a_fragment_too(client: httpx.Client) -> None:
    answer = client.post("/graphql", json={"query": "mutation { ... on Mutation { launchRocket { id } } }"}).json()
    assert "does not know the mutation launchRocket" in answer["errors"][0]["message"]
