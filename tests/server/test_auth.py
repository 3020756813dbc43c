"""Who is let in."""

import base64
import json
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest
import yaml

from mnist_sweep.server.pages.actions import FOREIGN_FORM
from mnist_sweep.server.process import launch
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


STARTED = """mutation($entity: String) {
    upsertBucket(input: {name: "secret", entityName: $entity, modelName: "p"}) { bucket { id } } }"""
ENTITIES = ["login", "login-team", "authorize", "healthz", "storage", "sdk", "-", "graphql", "files", "artifacts",
            "artifactsV2", "api", "logout"]  # fmt: skip


@pytest.fixture
def browser_of(client: httpx.Client, kept: Store) -> Iterator[httpx.Client]:
    """A browser that has logged in."""
    with httpx.Client(base_url=client.base_url) as browser:
        browser.post("/login", content=f"key={kept.key}")
        yield browser


@pytest.mark.parametrize("entity", ENTITIES)
def test_no_name_of_an_entity_opens_or_closes_its_pages(
    client: httpx.Client, ask: Ask, browser_of: httpx.Client, entity: str
) -> None:
    ask(STARTED, entity=entity)
    paths = ["p", "p/workspace", "p/compare", "p/runs/secret"]
    with httpx.Client(base_url=client.base_url) as nobody:
        for path in paths[entity == "-" :]:  # /-/p is an asset that does not exist
            assert browser_of.get(f"/{entity}/{path}").status_code == 200, path
            assert nobody.get(f"/{entity}/{path}").status_code == 401, path
        assert nobody.post(f"/{entity}/p/runs/secret", content="action=delete").status_code == 401
        assert nobody.post(f"/{entity}/p/sweeps/any", content="action=cancel").status_code == 401


@pytest.mark.parametrize("host", ["127.0.0.1:/login?", "127.0.0.1/login?", "localhost:80/login?x=", "127.0.0.1:80#"])
def test_a_host_header_that_contains_a_path_opens_nothing(client: httpx.Client, host: str) -> None:
    with httpx.Client(base_url=client.base_url, headers={"Host": host}) as nobody:
        for answer in (nobody.get("/local"), nobody.post("/graphql", json=VIEWER), nobody.get("/")):
            assert answer.status_code in (400, 401)
        answer = nobody.get("/local", headers={"Accept": "text/html"}, follow_redirects=False)
        assert answer.status_code in (303, 400)
        assert answer.headers.get("location", "/login?to=/local") == "/login?to=/local"


@pytest.mark.parametrize("path", ["/login/../local", "//local", "/%6cogin/p", "/login%2f..%2flocal", "/-/../local/p"])
def test_no_other_spelling_of_an_address_opens_a_page(client: httpx.Client, path: str) -> None:
    host, port = client.base_url.host, client.base_url.port
    with socket.create_connection((host, port)) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert int(answer.split()[1]) in (401, 404)
    assert b"local" not in answer.partition(b"\r\n\r\n")[2]


def test_each_login_has_a_cookie_of_its_own_which_logging_out_ends(
    client: httpx.Client, kept: Store, browser_of: httpx.Client
) -> None:
    with httpx.Client(base_url=client.base_url) as other:
        other.post("/login", content=f"key={kept.key}")
        stolen = dict(other.cookies)
        assert stolen != dict(browser_of.cookies)
        assert other.get("/").status_code == 200
        assert other.post("/logout", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
        assert other.get("/").status_code == 200
        assert other.post("/logout").headers["location"] == "/login"
        assert other.get("/").status_code == 401
    with httpx.Client(base_url=client.base_url, cookies=stolen) as thief:
        assert thief.get("/").status_code == 401
    assert browser_of.get("/").status_code == 200


def test_another_key_ends_sessions_and_signed_addresses(store: Store) -> None:
    files = """mutation { createRunFiles(input: {entityName: "local", projectName: "p", runName: "r", files: ["a"]}) {
        files { uploadUrl } } }"""
    with served(store) as client, httpx.Client(base_url=client.base_url) as browser:
        browser.post("/login", content=f"key={store.key}")
        assert browser.get("/").status_code == 200
        client.post("/graphql", json={"query": STARTED.replace("secret", "r")})
        answer = client.post("/graphql", json={"query": files}).json()
        address = httpx.URL(answer["data"]["createRunFiles"]["files"][0]["uploadUrl"])
        assert httpx.put(address, content=b"a").status_code == 200
        cookies = dict(browser.cookies)
    with served(store, key="k" * 40) as client, httpx.Client(base_url=client.base_url, cookies=cookies) as browser:
        assert browser.get("/").status_code == 401
        assert httpx.put(address.copy_with(port=client.base_url.port), content=b"b").status_code == 403


def announcement(url: str, key: str, login_secret: str) -> launch.Announcement:
    return launch.Announcement(url=url, key=key, folder="", pid=1, login_secret=login_secret)


def test_a_login_link_works_once(store: Store) -> None:
    with served(store, login_secret="s" * 40) as client:
        url = str(client.base_url).rstrip("/")
        link = launch.login_link(announcement(url, store.key, "s" * 40), "/local?x=1")
        forged = launch.login_link(announcement(url, store.key, "t" * 40))
        with httpx.Client() as browser:
            answer = browser.get(link)
            assert (answer.status_code, answer.headers["location"]) == (303, "/local?x=1")
            assert browser.get(f"{url}/").status_code == 200
            assert browser.get(link).status_code == 303  # this browser has logged in
        with httpx.Client() as thief:
            for bad in (link, forged, f"{url}/login?token=", f"{url}/login?token=é.é"):
                answer = thief.get(bad)
                assert answer.status_code == 401
                assert "was used before" in answer.text
            assert thief.get(f"{url}/").status_code == 401


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "]"])
def test_an_origin_that_is_no_address_is_refused_without_a_traceback(
    client: httpx.Client, caplog: pytest.LogCaptureFixture, origin: str
) -> None:
    assert client.post("/graphql", json=VIEWER, headers={"Origin": origin}).status_code == 403
    assert caplog.records == []


@pytest.mark.parametrize("path", ["/local/p/runs/secret", "/local/p/sweeps/any"])
def test_a_form_token_that_is_not_ascii_is_refused(client: httpx.Client, ask: Ask, path: str) -> None:
    ask(STARTED)
    answer = client.post(path, content="token=%C3%A9&action=delete")
    assert (answer.status_code, FOREIGN_FORM in answer.text) == (403, True)
