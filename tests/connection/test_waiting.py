"""A real server is stopped, killed and restarted while programs need it."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mnist_sweep.connection import waiting
from mnist_sweep.connection.waiting import RetryPolicy, ServerUnavailable
from mnist_sweep.errors import UserError
from mnist_sweep.server.process.launch import ServerProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path_factory.mktemp("data"))
    server.start()
    yield server
    server.stop()


def test_a_stopped_server_is_waited_for(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_ANSWER_SECONDS", 0.5)
    lines: list[str] = []
    retry = RetryPolicy(server.url, lines.append)
    assert retry.attempt(lambda: 7) == 7
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    assert retry.attempt(lambda: 7) is None
    assert retry.attempt(lambda: 7) is None
    server.process.send_signal(signal.SIGCONT)
    assert retry.retry_until_available(lambda: None) is None
    assert lines == [f"{server.url} does not answer; waiting for it …", f"{server.url} answers again"]


def test_asking_why_a_server_is_unavailable_changes_nothing(tmp_path: Path) -> None:
    lines: list[str] = []
    restarts: list[int] = []
    retry = RetryPolicy("http://127.0.0.1:9", lines.append, limit=60, restart=lambda: restarts.append(1))
    assert waiting.why_unavailable(retry.url) == "does not answer"
    assert (lines, restarts) == ([], [])
    assert not retry.recover()
    assert (len(lines), len(restarts)) == (1, 1)


def test_a_killed_server_is_restarted_at_its_address(server: ServerProcess) -> None:
    url = server.url
    server.stop(signal.SIGKILL)
    RetryPolicy(url, restart=lambda: server.start() and None).wait()
    assert server.url == url
    assert not waiting.why_unavailable(url)


def test_one_that_stays_unavailable_is_one_line() -> None:
    lines: list[str] = []
    with pytest.raises(ServerUnavailable, match=r"^http://127\.0\.0\.1:9 does not answer, for 0 s now$"):
        RetryPolicy("http://127.0.0.1:9", lines.append, limit=0).wait()
    assert lines == []


def test_a_request_that_fails_although_the_server_answers_is_not_retried_for_long(server: ServerProcess) -> None:
    asked: list[int] = []

    def refused() -> None:
        asked.append(1)
        raise ValueError("no such sweep")

    with pytest.raises(ValueError, match="no such sweep"):
        RetryPolicy(server.url).retry_until_available(refused)
    assert len(asked) == 3  # it may just have come back


def test_the_limit_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_SWEEP_PATIENCE", "12.5")
    assert RetryPolicy("http://127.0.0.1:9").limit == 12.5
    monkeypatch.setenv("MNIST_SWEEP_PATIENCE", "long")
    with pytest.raises(UserError, match="MNIST_SWEEP_PATIENCE is 'long'"):
        RetryPolicy("http://127.0.0.1:9")


@pytest.mark.skipif(sys.platform != "linux", reason="lifts the limit of another process")
def test_a_full_disk_is_reported_with_its_folder_and_retried(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk; it is lifted while the server serves."""
    import resource

    limited = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY));"
        "from mnist_sweep.server.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    data = tmp_path / "data"
    server = ServerProcess(data, program=("-c", limited))
    server.start()
    assert server.process is not None
    lines: list[str] = []
    retry = RetryPolicy(server.url, lines.append)
    assert retry.recover()
    query = 'mutation($c: JSONString) { upsertBucket(input: {modelName: "p", config: $c}) { inserted } }'
    body = {"query": query, "variables": {"c": json.dumps({"x": "x" * 4_000_000})}}
    refused = httpx.post(f"{server.url}/graphql", json=body, auth=("api", server.key), timeout=30)
    assert refused.status_code == 507
    assert not retry.recover()
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    retry.wait()
    assert lines == [
        f"{server.url} cannot write to {data}: File too large; waiting for it …",
        f"{server.url} answers again",
    ]
    assert server.stop() == 0
