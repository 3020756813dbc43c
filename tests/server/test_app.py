"""Whatever arrives: an answer with a reason, and a server that goes on.

`FUZZ=1000 pytest tests/server/test_app.py` tries so many examples of each kind.
"""

import gzip
import json
import math
import os
from typing import Any

import httpx
import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLInputType, GraphQLList, GraphQLNonNull
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnist_sweep.server.gql.execute import schema
from mnist_sweep.server.store import Store
from tests.server.conftest import Ask, served

EXAMPLES = int(os.environ.get("FUZZ", "60"))
FUZZ = settings(
    deadline=None, max_examples=EXAMPLES, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
START = 'mutation($n: String) { upsertBucket(input: {name: $n, modelName: "p"}) { bucket { id } } }'

names = st.sampled_from(["p", "local", "r", "s", "", "v0", "latest", "../..", "é", "a/b", "x" * 300])
texts = st.one_of(names, st.text(max_size=20), st.just("NaN"), st.just("{}"), st.just("\x00"), st.just("\ud800"))
numbers = st.one_of(
    st.integers(-3, 3), st.integers(), st.floats(), st.sampled_from([2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**400])
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
json_texts = st.one_of(values.map(json.dumps), texts)


def encode(value: Any) -> bytes:
    """JSON as clients write it: NaN and lone surrogates included."""
    return json.dumps(value).encode()


def check(client: httpx.Client, answer: httpx.Response) -> None:
    """An answer that a client can act on, from a server that is not harmed."""
    assert answer.status_code < 500, answer.text
    body = json.loads(answer.content, parse_constant=pytest.fail)
    if answer.status_code >= 400:
        assert body["errors"][0]["message"]
    for error in body.get("errors", ()):
        assert "internal error" not in error["message"], error
    assert client.post("/graphql", json={"query": "{ viewer { id } }"}).status_code == 200


@FUZZ
@given(body=st.one_of(st.binary(max_size=300), values.map(encode)), packed=st.booleans(), cut=st.integers(0, 20))
def test_any_body(client: httpx.Client, body: bytes, packed: bool, cut: int) -> None:
    headers = {"Content-Encoding": "gzip"} if packed else {}
    content = gzip.compress(body)[: -cut or None] if packed else body
    for address in ("/graphql", "/files/local/p/r/file_stream"):
        check(client, client.post(address, content=content, headers=headers))


@FUZZ
@given(query=st.one_of(st.text(max_size=60), st.text("{}()$!: \n\"'abc...@[]=", max_size=80)), variables=values)
def test_any_query(client: httpx.Client, query: str, variables: Any) -> None:
    check(client, client.post("/graphql", content=encode({"query": query, "variables": variables})))


streams = st.fixed_dictionaries(
    {},
    optional={
        "files": st.one_of(
            values,
            st.dictionaries(
                st.sampled_from(["wandb-history.jsonl", "wandb-events.jsonl", "output.log", "wandb-summary.json", "x"]),
                st.one_of(
                    values,
                    st.fixed_dictionaries(
                        {"offset": st.one_of(st.integers(0, 9), values), "content": st.lists(json_texts, max_size=4)}
                    ),
                ),
            ),
        ),
        "complete": values,
        "exitcode": values,
        "preempting": values,
        "uploaded": values,
    },
)


@FUZZ
@given(body=streams)
def test_any_file_stream(client: httpx.Client, ask: Ask, body: Any) -> None:
    ask(START, n="r")
    check(client, client.post("/files/local/p/r/file_stream", content=encode(body)))
    look = """{ project(name: "p") { run(name: "r") { state history events historyKeys summaryMetrics
        sampledHistory(specs: ["{}"]) logLines(first: 5) { edges { node { line level } } } } } }"""
    check(client, client.post("/graphql", json={"query": look}))
    assert client.get("/local/p/runs/r").status_code == 200


KNOWN_IDS = ["UnVuOjE="]
"""Ids that the fuzzed mutations may name; each test that uses them fills the list."""


def make_known_ids(ask: Ask) -> None:
    """Create something of each kind that a mutation can name, and fill KNOWN_IDS."""
    run = ask(START, n="r")["upsertBucket"]["bucket"]["id"]
    config = "method: grid\\nparameters: {x: {values: [1]}}"
    sweep = ask(
        f'mutation {{ upsertSweep(input: {{config: "{config}", projectName: "p"}}) {{ sweep {{ id name }} }} }}'
    )
    sweep = sweep["upsertSweep"]["sweep"]
    agent = ask(
        'mutation($s: String!) { createAgent(input: {host: "h", sweep: $s, projectName: "p"}) { agent { id } } }',
        s=sweep["name"],
    )["createAgent"]["agent"]["id"]
    made = ask("""mutation { createArtifact(input: {entityName: "local", projectName: "p", artifactTypeName: "t",
        artifactCollectionName: "c", digest: "d"}) { artifact { id artifactSequence { id } } } }""")
    artifact = made["createArtifact"]["artifact"]
    manifest = ask(
        """mutation($a: ID!) { createArtifactManifest(input: {artifactID: $a, name: "m", digest: "d",
        entityName: "local", projectName: "p", runName: "r"}) { artifactManifest { id } } }""",
        a=artifact["id"],
    )["createArtifactManifest"]["artifactManifest"]["id"]
    view = ask("""mutation { upsertView(input: {entityName: "local", projectName: "p", type: "runs", name: "v",
        spec: "{}"}) { view { id } } }""")["upsertView"]["view"]["id"]
    KNOWN_IDS[:] = [run, sweep["id"], agent, artifact["id"], artifact["artifactSequence"]["id"], manifest, view]


def of_type(type_: GraphQLInputType) -> st.SearchStrategy[Any]:
    """Values for an input type, some of them wrong."""
    if isinstance(type_, GraphQLNonNull):
        return of_type(type_.of_type)
    if isinstance(type_, GraphQLList):
        return st.lists(of_type(type_.of_type), max_size=3)
    if isinstance(type_, GraphQLEnumType):
        return st.sampled_from(list(type_.values))
    if isinstance(type_, GraphQLInputObjectType):
        required = {name: of_type(field.type) for name, field in type_.fields.items() if is_required(field.type)}
        optional = {name: of_type(field.type) for name, field in type_.fields.items() if name not in required}
        return st.fixed_dictionaries(required, optional=optional)
    right: dict[str, st.SearchStrategy[Any]] = {
        "String": texts,
        "ID": st.one_of(texts, st.integers(0, 99).map(lambda number: KNOWN_IDS[number % len(KNOWN_IDS)])),
        "Int": st.integers(-(2**31), 2**31 - 1),
        "Float": st.floats(allow_nan=False, allow_infinity=False),
        "Boolean": st.booleans(),
        "JSONString": json_texts,
    }
    return st.one_of(right.get(type_.name, values), right.get(type_.name, values), values)


def is_required(type_: GraphQLInputType) -> bool:
    return isinstance(type_, GraphQLNonNull)


MUTATIONS = schema().mutation_type
assert MUTATIONS is not None


@pytest.mark.parametrize("name", sorted(MUTATIONS.fields))
def test_any_input_of_every_mutation(client: httpx.Client, ask: Ask, name: str) -> None:
    assert MUTATIONS is not None
    input_type = MUTATIONS.fields[name].args["input"].type
    query = f"mutation($input: {input_type}) {{ {name}(input: $input) {{ __typename }} }}"
    make_known_ids(ask)

    @settings(FUZZ, max_examples=max(15, EXAMPLES // 4))
    @given(given_input=of_type(input_type))
    def send(given_input: Any) -> None:
        check(client, client.post("/graphql", content=encode({"query": query, "variables": {"input": given_input}})))

    send()


operators = st.sampled_from(["$eq", "$ne", "$gt", "$lte", "$in", "$nin", "$exists", "$regex", "$not", "$what"])
fields = st.sampled_from(
    ["state", "config.x", 'config."].value', "summary_metrics.loss", "summary_metrics.a.b", "tags", "name", "nothing",
     "created_at", "displayName", "config.", "summary_metrics.'", "sweep"]
)  # fmt: skip
conditions = st.recursive(
    st.dictionaries(fields, st.one_of(values, st.dictionaries(operators, values, max_size=2)), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from(["$and", "$or", "$nor", "$not"]), st.lists(inner, max_size=3)),
    max_leaves=6,
)


@FUZZ
@given(condition=st.one_of(conditions, values), order=st.one_of(st.none(), texts, fields.map("-{}".format)))
def test_any_filter_and_order(client: httpx.Client, ask: Ask, condition: Any, order: str | None) -> None:
    ask(START, n="r")
    query = """query($f: JSONString, $o: String) { project(name: "p") {
        runCount(filters: $f) runs(filters: $f, order: $o) { edges { node { id } } }
        sweeps(filters: $f) { edges { node { id } } } } }"""
    variables = {"f": json.dumps(condition), "o": order}
    check(client, client.post("/graphql", content=encode({"query": query, "variables": variables})))


def test_any_file_name_stays_in_its_run(client: httpx.Client, ask: Ask, kept: Store) -> None:
    ask(START, n="r")
    create = """mutation($f: [String!]!) { createRunFiles(input: {entityName: "local", projectName: "p", runName: "r",
        files: $f}) { files { uploadUrl } } }"""
    look = """query($f: [String]) { project(name: "p") { run(name: "r") { files(names: $f) {
        edges { node { directUrl } } } } } }"""

    @FUZZ
    @given(name=st.text(min_size=1, max_size=30), content=st.binary(max_size=1000))
    def send(name: str, content: bytes) -> None:
        answer = client.post("/graphql", content=encode({"query": create, "variables": {"f": [name]}}))
        check(client, answer)
        if answer.json().get("data", {}).get("createRunFiles") is None:
            return
        url = answer.json()["data"]["createRunFiles"]["files"][0]["uploadUrl"]
        assert client.put(url, content=content).status_code == 200
        (found,) = ask(look, f=[name])["project"]["run"]["files"]["edges"]
        assert client.get(found["node"]["directUrl"]).content == content

    send()
    outside = [path for path in kept.folder.parent.rglob("*") if kept.folder not in (path, *path.parents)]
    assert outside == []


SCRIPT = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def test_nothing_a_run_logs_can_run_as_script(client: httpx.Client, ask: Ask) -> None:
    start = """mutation($t: String, $c: JSONString) { upsertBucket(input: {name: "r", modelName: "p", displayName: $t,
        notes: $t, config: $c, tags: [$t], groupName: $t}) { bucket { id } } }"""
    ask(start, t=SCRIPT, c=json.dumps({SCRIPT: {"value": SCRIPT}}))
    row = json.dumps({SCRIPT: SCRIPT, "loss": math.nan})
    files = {
        name: {"offset": 0, "content": [row]} for name in ("wandb-history.jsonl", "wandb-summary.json", "output.log")
    }
    assert client.post("/files/local/p/r/file_stream", content=encode({"files": files})).status_code == 200
    for address in ("/", "/local/p", "/local/p/runs/r"):
        page = client.get(address)
        assert page.status_code == 200
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "'unsafe-eval'" not in policy
        assert all("'unsafe-inline'" not in part for part in policy.split(";") if "script-src" in part)
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text


def test_what_names_nobody_is_the_servers_own_entitys(store: Store) -> None:
    with served(store, entity="team") as client:
        query = (
            'mutation { upsertBucket(input: {modelName: "p", name: "r"}) { bucket { project { entity { name } } } } }'
        )
        made = client.post("/graphql", json={"query": query}).json()["data"]["upsertBucket"]["bucket"]
        assert made["project"]["entity"]["name"] == "team"
        assert (
            client.post("/graphql", json={"query": "{ viewer { entity } }"}).json()["data"]["viewer"]["entity"]
            == "team"
        )
