"""Opaque ids: whatever a client knew of a deleted row names no other one."""

import httpx
import pytest

from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.gql import ids
from tests.server.conftest import Ask

GRID = "method: grid\\nparameters: {x: {values: [1, 2, 3]}}"
START = "mutation($n: String, $p: String) { upsertBucket(input: {name: $n, modelName: $p}) { bucket { id } } }"


def start(ask: Ask, run: str, project: str) -> str:
    return str(ask(START, n=run, p=project)["upsertBucket"]["bucket"]["id"])


def test_an_id_holds_its_kind_and_number() -> None:
    text = ids.encode("Run", 12345)
    assert ids.decode("Run", text) == ids.decode("Run", text.rstrip("=")) == 12345


@pytest.mark.parametrize("text", ["", "é", "=", "Run:1", ids.encode("Sweep", 1), ids.encode("Run", -1), "UnVuOng="])
def test_what_is_no_id_of_the_kind_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="not the id of a run"):
        ids.decode("Run", text)


def new_sweep(ask: Ask, project: str) -> dict[str, str]:
    made: dict[str, str] = ask(
        f'mutation {{ upsertSweep(input: {{projectName: "{project}", config: "{GRID}"}}) {{ sweep {{ id name }} }} }}'
    )["upsertSweep"]["sweep"]
    return made


def new_agent(ask: Ask, project: str, sweep: str) -> str:
    query = 'mutation($s: String!, $p: String) { createAgent(input: {host: "h", sweep: $s, projectName: $p}) '
    return str(ask(query + "{ agent { id } } }", s=sweep, p=project)["createAgent"]["agent"]["id"])


HEARTBEAT = "mutation($id: ID!) { agentHeartbeat(input: {id: $id}) { commands } }"


def test_an_agent_of_a_deleted_sweep_is_no_other_sweeps_agent(client: httpx.Client, ask: Ask) -> None:
    old = new_sweep(ask, "p")
    agent = new_agent(ask, "p", old["name"])
    ask("mutation($id: ID!) { deleteSweep(input: {id: $id}) { success } }", id=old["id"])
    new = new_sweep(ask, "q")
    assert new["id"] != old["id"]
    assert new_agent(ask, "q", new["name"]) != agent
    answer = client.post("/graphql", json={"query": HEARTBEAT, "variables": {"id": agent}})
    assert answer.status_code == 404
    runs_of = f'{{ project(name: "q") {{ sweep(sweepName: "{new["name"]}") {{ runCount }} }} }}'
    assert ask(runs_of)["project"]["sweep"]["runCount"] == 0


def test_a_stale_id_changes_and_deletes_no_other_run(client: httpx.Client, ask: Ask) -> None:
    stale = start(ask, "old", "p")
    delete = "mutation($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }"
    ask(delete, id=stale)
    assert start(ask, "new", "q") != stale
    rename = 'mutation($id: String) { upsertBucket(input: {id: $id, displayName: "taken"}) { bucket { id } } }'
    answer = client.post("/graphql", json={"query": rename, "variables": {"id": stale}}).json()
    assert "no such run" in answer["errors"][0]["message"]
    ask(delete, id=stale)
    found = ask('{ project(name: "q") { run(name: "new") { displayName } } }')["project"]["run"]
    assert found["displayName"] not in (None, "taken")
