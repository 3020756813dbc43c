"""A sweep on a real server through the real client: found, refused, and read while the client's service is busy."""

import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb
from rich.console import Console

from mnist_sweep.connection import waiting
from mnist_sweep.connection.waiting import RequestsUnanswered, RetryPolicy
from mnist_sweep.environment import environment
from mnist_sweep.sweep import live_view, remote
from mnist_sweep.sweep.remote import Sweep, SweepError
from tests.local_server import Served
from tests.sweep.workers import Workers

CONFIG = {"method": "random", "metric": {"name": "loss", "goal": "minimize"}, "parameters": {"x": {"values": [1, 2]}}}


@pytest.fixture
def client(served: Served, tmp_path: Path) -> Iterator[Served]:
    """This process as a client of the server."""
    with served.client_here(tmp_path):
        yield served


@pytest.fixture
def sweep(client: Served) -> Sweep:
    return remote.create(CONFIG, "remote")


def test_a_sweep_is_created_and_found_by_all_its_names(sweep: Sweep) -> None:
    entity, project, identifier = sweep.path.split("/")
    assert (entity, project) == ("local", "remote")
    for name in (identifier, f"remote/{identifier}", sweep.path):
        assert remote.find(name, "remote") == sweep
    assert sweep.path in [each.path for each in remote.find_all(sweep)]
    assert remote.fetch_ranking(sweep).trials == ()


def test_a_sweep_that_does_not_exist_is_one_plain_line(client: Served) -> None:
    with pytest.raises(SweepError) as raised:
        remote.find("nonesuch", "remote")
    assert str(raised.value) == f"there is no sweep remote/nonesuch on {client.url}: check its id on the project's page"


def test_a_wrong_key_is_not_reported_as_a_missing_sweep(client: Served) -> None:
    with environment({"WANDB_API_KEY": "x" * 40}):
        wandb.teardown()
        with pytest.raises(SweepError) as raised:
            remote.find("local/remote/nonesuch", "remote")
        with pytest.raises(SweepError) as refused:
            remote.create(CONFIG, "remote")
    line = f"{client.url} does not accept the API key: check WANDB_API_KEY, or run `wandb login --relogin`"
    assert (str(raised.value), str(refused.value)) == (line, line)


def service() -> int:
    """Return the process of the client's service."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    (found,) = [child for child in children if b"wandb-core" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return int(found)


@pytest.mark.skipif(sys.platform != "linux", reason="stops the client's service, found in /proc")
def test_a_busy_client_is_reported_once_and_waited_for(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service is stopped for longer than the client waits, whose own error has 60 lines of traceback."""
    monkeypatch.setattr(waiting, "_REFUSALS", 1)  # before, three such errors in a row ended the view
    remote.find(sweep.path, "remote")
    busy = service()
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        threading.Timer(1.0, os.kill, (busy, signal.SIGCONT)).start()

    os.kill(busy, signal.SIGSTOP)
    try:
        url = os.environ["WANDB_BASE_URL"]
        ranking = live_view.follow(sweep, Workers(0), None, Console(file=io.StringIO()), RetryPolicy(url, say))
    finally:
        os.kill(busy, signal.SIGCONT)
    assert ranking.trials == ()
    assert said == [
        f"A request to {url} was not answered in time: the machine is busy; retrying …",
        f"Requests to {url} are answered again",
    ]


def test_a_busy_client_ends_no_view_while_workers_run(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_view, "POLL_SECONDS", 0.0)

    def busy(sweep: Sweep) -> None:
        raise TimeoutError

    monkeypatch.setattr(live_view, "poll", busy)
    workers = Workers(5)
    retry = RetryPolicy(os.environ["WANDB_BASE_URL"], lambda line: None, limit=0.0)
    with pytest.raises(RequestsUnanswered):
        live_view.follow(sweep, workers, None, Console(file=io.StringIO()), retry)
    assert workers.left == 0
