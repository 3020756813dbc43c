"""Who is let in."""

import base64
import json
import threading

import httpx
import pytest
import yaml

from mnist_sweep.server.store import Store
from tests.server.conftest import Ask, basic, served
from tests.server.sweep_client import CREATE, GRID, Sweep

VIEWER = {"query": "{ viewer { entity } }"}
DELETE = "mutation($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }"
CLIENTS = ("/graphql", "/files/local/p/r/file_stream")


def test_the_folders_own_key_is_let_in_and_no_other(client: httpx.Client, kept: Store) -> None:
    assert len(kept.key) == 40
    for headers in (basic(kept.key), {"Authorization": f"Bearer {kept.key}"}):
        assert client.post("/graphql", json=VIEWER, headers=headers).json() == {"data": {"viewer": {"entity": "local"}}}
    for wrong in ("0" * 40, kept.key + "0", kept.key[:-1], "é" * 40):
        assert client.post("/graphql", json=VIEWER, headers=basic(wrong)).status_code == 401


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !", "Basic " + base64.b64encode(b"api:short").decode(), "Digest x", "Bearer x"]
)
def test_no_key_no_answer(client: httpx.Client, header: str) -> None:
    for address in (CLIENTS[0], "/artifacts/local/00"):
        answer = client.request("POST" if address == "/graphql" else "GET", address, headers={"Authorization": header})
        assert answer.status_code == 401
        assert "key" in answer.json()["errors"][0]["message"]


def test_every_address_is_closed_but_those_to_log_in(client: httpx.Client) -> None:
    nobody = httpx.Client(base_url=client.base_url)
    for path in ("/", "/local", "/local/p", "/api/local/p/runs/r/review", "/files/local/p/r/output.log", "/nothing"):
        assert nobody.get(path).status_code == 401
        assert nobody.post(path).status_code == 401
    for path in ("/login", "/authorize", "/-/review.css"):
        assert nobody.get(path).status_code == 200
    assert nobody.get("/storage/file/1/x").status_code == 403
    for path in ("metrics", "logs"):  # clients take another answer for a yes, and then complain
        assert nobody.post(f"/sdk/otel/v1/{path}").status_code == 404


def test_a_given_key_takes_the_place_of_the_folders_own(store: Store) -> None:
    key = "k" * 40
    with served(store, key=key) as client:
        assert client.post("/graphql", json=VIEWER).status_code == 200
        assert client.post("/graphql", json=VIEWER, headers=basic(store.key)).status_code == 401


def test_a_web_page_cannot_reach_it_under_another_name(client: httpx.Client) -> None:
    assert client.post("/graphql", json=VIEWER, headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400


def test_wrong_keys_wait_and_the_right_one_does_not(client: httpx.Client) -> None:
    answered: list[int] = []

    def guess(number: int) -> None:
        answered.append(client.post("/graphql", json=VIEWER, headers=basic(f"{number}" * 40)).status_code)

    guesses = [threading.Thread(target=guess, args=(number,)) for number in range(4)]
    for thread in guesses:
        thread.start()
    answered.append(client.post("/graphql", json=VIEWER).status_code)
    for thread in guesses:
        thread.join()
    assert sorted(answered) == [200, 401, 401, 401, 401]
    assert answered[-1] != 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
    ],
)
def test_what_a_page_of_another_site_sends_is_refused_with_the_right_key_too(
    client: httpx.Client, headers: dict[str, str]
) -> None:
    for path in (*CLIENTS, "/login", "/local/p/runs/r"):
        answer = client.post(path, json=VIEWER, headers=headers)
        assert answer.status_code == 403
        assert "other sites" in answer.json()["errors"][0]["message"]
    assert client.get("/local", headers=headers | {"Sec-Fetch-Mode": "no-cors"}).status_code == 403


def test_following_a_link_is_no_harm(client: httpx.Client) -> None:
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}).status_code == 200
    assert client.post("/graphql", json=VIEWER, headers={"Origin": str(client.base_url)}).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_bodies_that_a_form_can_send_are_refused(client: httpx.Client, kind: str) -> None:
    for path in CLIENTS:
        answer = client.post(path, content=json.dumps(VIEWER), headers={"Content-Type": kind})
        assert answer.status_code == 415
        assert "application/json" in answer.json()["errors"][0]["message"]


def test_a_neighbour_cannot_change_what_an_agent_executes(client: httpx.Client, ask: Ask) -> None:
    """The chain that ran code as the victim: find the sweep, delete its runs, give it another command."""
    sweep = Sweep(client, ask, GRID)
    run, _ = sweep.draw(sweep.agent())
    command = yaml.dump(GRID | {"command": ["sh", "-c", "id > /tmp/stolen"]})
    node = ask('query($n: String) { project(name: "p") { run(name: $n) { id } } }', n=run)["project"]["run"]
    steps = [
        {"query": '{ project(name: "p") { sweeps { edges { node { name } } } } }'},
        {"query": DELETE, "variables": {"id": node["id"]}},
        {"query": CREATE, "variables": {"id": sweep.id, "config": command}},
    ]
    for step in steps:
        assert client.post("/graphql", json=step, headers=basic("f" * 40)).status_code == 401
    ask(DELETE, id=node["id"])  # and who has the key cannot reopen a sweep that way either
    answer = client.post("/graphql", json=steps[2]).json()
    assert "cannot change" in answer["errors"][0]["message"]
    assert yaml.safe_load(sweep.look_at("config")) == GRID
