"""Which server is chosen, and how the client learns of it; tests/e2e/test_connect.py does the same with programs."""

import os
from pathlib import Path

import pytest

from mnist_sweep.connection import connect
from mnist_sweep.connection.connect import ConnectError, WandbServer
from mnist_sweep.server.process import launch
from mnist_sweep.server.process.launch import ServerProcess


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a login and without a server."""
    for name in [name for name in os.environ if name.startswith(("WANDB_", "MNIST_SWEEP_", "SLURM_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("MNIST_SWEEP_SERVER", str(tmp_path / "data"))
    monkeypatch.setenv("MNIST_SWEEP_IDLE_SECONDS", "10")


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://127.0.0.5:8080", True),
        ("http://localhost", True),
        ("http://[::1]:80", True),
        ("https://api.wandb.ai", False),
        ("http://127.example", False),
    ],
)
def test_loopback(url: str, loopback: bool) -> None:
    assert WandbServer(url=url, local=True).loopback is loopback


def test_a_temporary_server_is_started_and_its_login_link_is_printed_once(tmp_path: Path) -> None:
    lines: list[str] = []
    with connect.connected_server(lines.append) as server:
        assert (server.local, server.temporary) == (True, True)
        assert os.environ["WANDB_BASE_URL"] == server.url
        assert len(os.environ["WANDB_API_KEY"]) == 40
    assert "WANDB_BASE_URL" not in os.environ
    used, link = lines
    assert used.startswith(f"No W&B login: using the local server at {server.url}, ")
    assert link.startswith(f"Log in a browser with this link, once: {server.url}/login?token=")
    with connect.connected_server(lines.append):
        assert lines[2:] == [used]  # the link does not come again
    with (
        pytest.raises(ConnectError, match="this needs a server that stays"),
        connect.connected_server(print, lasting=True),
    ):
        pass
    found = launch.announced(tmp_path / "data")
    assert found is not None
    os.kill(found.pid, 15)


def test_only_a_server_that_already_runs_is_used(tmp_path: Path) -> None:
    with connect.running_server(print) as none:
        assert none is None
    process = ServerProcess(tmp_path / "data")
    process.start()
    with connect.running_server(print) as server, connect.connected_server(print, lasting=True) as lasting:
        assert server is not None
        assert (server.url, lasting.url, lasting.temporary) == (process.url, process.url, False)
    assert process.stop() == 0
