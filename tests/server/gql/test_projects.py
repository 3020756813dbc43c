"""Projects in GraphQL."""

import httpx

from tests.server.conftest import Ask

UPSERT = """mutation($name: String, $entity: String) { upsertModel(input: {name: $name, entityName: $entity}) {
    inserted project { id name entityName internalId } } }"""


def test_a_project_is_created_once_and_deleted(ask: Ask) -> None:
    first = ask(UPSERT, name="p")["upsertModel"]
    assert first["inserted"] is True
    assert (first["project"]["name"], first["project"]["entityName"]) == ("p", "local")
    assert ask(UPSERT, name="p")["upsertModel"] == first | {"inserted": False}
    ask("mutation($id: String!) { deleteModel(input: {id: $id}) { success } }", id=first["project"]["id"])
    assert ask('{ project(name: "p") { id } }')["project"] is None


def test_a_project_without_a_name_is_refused(client: httpx.Client) -> None:
    answer = client.post("/graphql", json={"query": UPSERT, "variables": {}}).json()
    assert answer["errors"][0]["message"] == "a project needs a name"


def test_runs_are_paged_and_counted(ask: Ask) -> None:
    for name in "abc":
        ask('mutation($n: String) { upsertBucket(input: {name: $n, modelName: "p"}) { bucket { id } } }', n=name)
    query = """query($after: String) { project(name: "p") { runCount(filters: "{\\"name\\": {\\"$ne\\": \\"b\\"}}")
        runs(first: 2, after: $after, order: "+name") { edges { node { name } cursor } pageInfo { hasNextPage } } } }"""
    first = ask(query)["project"]
    assert first["runCount"] == 2
    assert [edge["node"]["name"] for edge in first["runs"]["edges"]] == ["a", "b"]
    second = ask(query, after=first["runs"]["edges"][-1]["cursor"])["project"]["runs"]
    assert [edge["node"]["name"] for edge in second["edges"]] == ["c"]
    assert second["pageInfo"]["hasNextPage"] is False
