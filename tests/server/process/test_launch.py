"""Starting a server, and what it says of itself."""

import json
import signal
import socket
from pathlib import Path

import pytest

from mnist_sweep.server.process import folder, launch
from tests.server.conftest import clean_environment


def test_the_data_folder_is_the_users_unless_the_environment_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MNIST_SWEEP_SERVER", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder.data_folder().name == "server"
    assert tmp_path in folder.data_folder().parents
    monkeypatch.setenv("MNIST_SWEEP_SERVER", str(tmp_path / "named"))
    assert folder.data_folder() == tmp_path / "named"


def test_a_server_says_where_it_serves_and_takes_it_back(tmp_path: Path) -> None:
    server = launch.ServerProcess(tmp_path / "data", env=clean_environment(tmp_path))
    facts = server.start()
    assert launch.announced(tmp_path / "data") == facts
    assert (tmp_path / "data" / "server.json").stat().st_mode & 0o077 == 0
    assert server.stop(signal.SIGKILL) != 0
    assert launch.announced(tmp_path / "data") == facts  # it had no chance
    assert server.start().url == facts.url
    assert server.stop() == 0
    assert launch.announced(tmp_path / "data") is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", json.dumps({"url": "http://127.0.0.1:1"}), "null"])
def test_what_is_no_announcement_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "server.json").write_text(content)
    assert launch.announced(tmp_path) is None


def test_a_server_that_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    server = launch.ServerProcess(tmp_path, "--crash-after", "-1", env=clean_environment(tmp_path))
    with pytest.raises(launch.StartError, match=r"--crash-after must be a number over 0, not -1$"):
        server.start()
    (tmp_path / "file").touch()
    with pytest.raises(launch.StartError, match=r"cannot write to its data folder .*file/data: Not a directory"):
        launch.ServerProcess(tmp_path / "file" / "data").start()


def test_where_the_usual_port_is_taken_by_a_silent_program_a_free_one_is(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            silent.bind(("127.0.0.1", launch.DEFAULT_PORT))
            silent.listen()
        except OSError:
            pass  # somebody else has it: as good
        server = launch.ServerProcess(tmp_path / "data", port=None, env=clean_environment(tmp_path))
        assert not server.start().url.endswith(f":{launch.DEFAULT_PORT}")
        assert server.stop() == 0
