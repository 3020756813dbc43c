"""Who is let in."""

import base64

import httpx
import pytest

from mnist_sweep.server import LOCAL_KEY, Store, create_app
from tests.server.conftest import served

VIEWER = {"query": "{ viewer { entity } }"}


def basic(key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"api:{key}".encode()).decode()}


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
