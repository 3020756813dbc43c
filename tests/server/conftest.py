"""A server process for the tests that need the real client, and an application in this process for the rest."""

import base64
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from mnist_sweep.server.app import create_app
from mnist_sweep.server.gql.registry import Context
from mnist_sweep.server.process.launch import ServerProcess
from mnist_sweep.server.signed_urls import SignedUrls
from mnist_sweep.server.store import Store
from mnist_sweep.server.sweeps.dispatcher import Dispatcher
from scripts import clients

BIN = Path(sys.executable).parent
CLIENTS = ["installed", *(pytest.param(version, marks=pytest.mark.conformance) for version in ("0.28.2", "0.31.0"))]
"""Whose requests the server is tested with: the client installed here, and on `make conformance` those versions."""


def clean_environment(home: Path, programs: Path = BIN) -> dict[str, str]:
    """A user without a login, whose W&B files all end up in `home`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "MNIST_SWEEP_", "XDG_", "GIT_"))}
    return kept | {
        "HOME": str(home),
        "PATH": f"{programs}{os.pathsep}{kept.get('PATH', '')}",
        "WANDB_DIR": str(home),
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "0.3",
        "MNIST_SWEEP_IDLE_SECONDS": "10",
    }


class Running(ServerProcess):
    """A server process, and programs that talk to it: those of the client in the folder `programs`."""

    def __init__(self, data: Path, home: Path, *arguments: str, programs: Path = BIN) -> None:
        super().__init__(data, *arguments, env=clean_environment(home))
        self.home = home
        self.programs = programs

    @property
    def env(self) -> dict[str, str]:
        return clean_environment(self.home, self.programs) | {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": self.key}

    def run(self, *command: str, timeout: float = 900, **env: str) -> str:
        """Run a program of this environment (`wandb`, `python`) to its end, which must be good."""
        done = subprocess.run(
            [str(self.programs / command[0]), *command[1:]],
            cwd=self.home,
            env=self.env | env,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    @cached_property
    def version(self) -> str:
        """The client's."""
        return str(self.python("import json, wandb; print(json.dumps(wandb.__version__))"))

    def python(self, code: str, **env: str) -> Any:
        """Run a Python program with the real client; its last line of output is JSON and is returned."""
        return json.loads(self.run("python", "-c", code, **env).splitlines()[-1])


@pytest.fixture(scope="module", params=CLIENTS)
def running(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server for the tests of a module, and a client."""
    try:
        programs = BIN if request.param == "installed" else clients.programs(request.param)
    except clients.Unavailable as reason:
        pytest.skip(str(reason))
    server = Running(tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("home"), programs=programs)
    server.start()
    yield server
    assert server.stop() == 0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An open data folder."""
    opened = Store(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def context(store: Store) -> Iterator[Context]:
    """What resolvers get, outside of a transaction."""
    with contextlib.closing(Dispatcher(store)) as dispatcher:
        links = SignedUrls("http://host", "secret")
        yield Context(store, links, dispatcher, entity="team", caller=None, transaction=None)


def basic(key: str) -> dict[str, str]:
    """The header with which the client sends a key."""
    return {"Authorization": "Basic " + base64.b64encode(f"api:{key}".encode()).decode()}


@contextlib.contextmanager
def served(store: Store, **settings: Any) -> Iterator[httpx.Client]:
    """A client with the key, of a store's application on a port of this process."""
    app = create_app(store, **settings)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        headers = basic(settings.get("key") or store.key) | {"Content-Type": "application/json"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def _application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, httpx.Client]]:
    store = Store(tmp_path_factory.mktemp("application") / "data")
    with served(store) as client:
        yield store, client
    store.close()


@pytest.fixture
def kept(_application: tuple[Store, httpx.Client]) -> Store:
    """The data folder behind `client`, empty at the start of a test."""
    store = _application[0]
    with store.write() as db:
        db.execute("DELETE FROM projects")
    return store


@pytest.fixture
def client(_application: tuple[Store, httpx.Client], kept: Store) -> httpx.Client:
    """A client of the default application over an empty data folder."""
    return _application[1]


Ask = Callable[..., dict[str, Any]]


def asking(client: httpx.Client) -> Ask:
    """`ask(query, **variables)`: the data of a GraphQL answer without errors."""

    def send(query: str, **variables: Any) -> dict[str, Any]:
        answer = client.post("/graphql", json={"query": query, "variables": variables})
        body = answer.json()
        assert "errors" not in body, body
        data: dict[str, Any] = body["data"]
        return data

    return send


@pytest.fixture
def ask(client: httpx.Client) -> Ask:
    return asking(client)
