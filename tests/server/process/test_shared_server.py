"""One server for all who use a folder: real programs, which are killed."""

from __future__ import annotations

import contextlib
import http.server
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from mnist_sweep.server.process import launch, shared_server

from ..conftest import clean_environment

USE = """
import functools, sys
from pathlib import Path
from mnist_sweep.server.process import shared_server
with shared_server.server(Path(sys.argv[1]), functools.partial(print, flush=True)) as facts:
    print(facts.url, facts.pid, facts.shared, flush=True)
    sys.stdin.readline()
"""


class User:
    """A program that uses the server of a folder until it is told to end."""

    def __init__(self, data: Path) -> None:
        command = [sys.executable, "-c", USE, str(data)]
        env, pipe = clean_environment(data.parent), subprocess.PIPE
        self.process = subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True)

    def facts(self) -> tuple[str, int, bool]:
        """Waits until it has a server."""
        assert self.process.stdout is not None
        url, pid, is_shared = self.process.stdout.readline().split()
        return url, int(pid), is_shared == "True"

    def end(self) -> None:
        self.process.communicate("end\n", timeout=60)
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def started(data: Path, env: dict[str, str]) -> Iterator[launch.ServerProcess]:
    """A server that a person started, and stops in the end, whatever a test found."""
    server = launch.ServerProcess(data, env=env)
    server.start()
    try:
        yield server
    finally:
        code = server.stop()
    assert code == 0


def gone(data: Path) -> bool:
    """Waits until nothing serves the folder any more."""
    with FileLock(data / "server.lock").acquire(timeout=60):
        return launch.announced(data) is None


def test_the_server_outlives_who_started_it_and_ends_with_its_last_user(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = User(data)
    url, pid, is_shared = first.facts()
    assert is_shared
    second = User(data)
    assert second.facts()[:2] == (url, pid)
    first.kill()
    third = User(data)
    assert third.facts()[:2] == (url, pid)
    second.end()
    facts = launch.announced(data)
    assert facts is not None
    assert launch.proves(facts)
    third.end()
    assert gone(data)


def test_many_who_come_at_once_get_one_server_and_it_ends_when_all_are_killed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    users = [User(data) for _ in range(4)]
    assert len({user.facts() for user in users}) == 1
    for user in users:
        user.kill()
    assert gone(data)


def test_a_server_that_a_person_started_is_used_and_stays(tmp_path: Path) -> None:
    with started(tmp_path / "data", clean_environment(tmp_path)) as server:
        user = User(tmp_path / "data")
        assert user.facts() == (server.url, server.facts.pid, False)
        user.end()
        assert launch.proves(server.facts)


@pytest.fixture
def stranger() -> Iterator[tuple[str, list[str]]]:
    """A web server that says yes to everything, and all it was told."""
    told: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.append(f"{self.path}\n{self.headers}")
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"yes")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", told
        server.shutdown()
        thread.join()


def test_a_stranger_at_the_address_is_not_believed_and_not_told_the_key(
    tmp_path: Path, stranger: tuple[str, list[str]]
) -> None:
    address, told = stranger
    (tmp_path / "data").mkdir()
    key = "k" * 40
    launch.announce(tmp_path / "data", launch.Facts(address, 1, key))
    user = User(tmp_path / "data")
    assert user.facts()[0] != address
    assert told
    assert key not in "".join(told)
    user.end()


def test_the_server_of_another_folder_at_the_address_is_not_believed(tmp_path: Path) -> None:
    env = clean_environment(tmp_path) | {"MNIST_SWEEP_SERVER_KEY": "o" * 40}
    with started(tmp_path / "other", env) as other:
        (tmp_path / "data").mkdir()
        launch.announce(tmp_path / "data", launch.Facts(other.url, other.facts.pid, "k" * 40))
        user = User(tmp_path / "data")
        assert user.facts()[0] != other.url
        user.end()


@pytest.mark.skipif(sys.platform == "win32", reason="processes are not stopped so on Windows")
def test_a_server_that_does_not_answer_is_waited_for_and_that_is_said(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with started(data, clean_environment(tmp_path)) as server:
        os.kill(server.facts.pid, signal.SIGSTOP)
        try:
            user = User(data)
            assert user.process.stdout is not None
            line = user.process.stdout.readline()
            assert line == f"The local server at {server.url} does not answer; waiting for it …\n"
        finally:
            os.kill(server.facts.pid, signal.SIGCONT)
        assert user.facts()[0] == server.url
        user.end()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(launch.StartError, match=r"^cannot write to its data folder .*file/data: Not a directory$"),
        shared_server.server(tmp_path / "file" / "data", print),
    ):
        pass


def test_what_the_dead_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "users").mkdir()
    (tmp_path / "users" / "1-dead.lock").touch()
    assert not shared_server.anybody(tmp_path)
    assert list((tmp_path / "users").iterdir()) == []
    with shared_server.using(tmp_path):
        assert shared_server.anybody(tmp_path)
        assert not shared_server.close(tmp_path)
    assert not shared_server.anybody(tmp_path)
    assert shared_server.close(tmp_path)


def test_who_comes_is_not_shut_out_by_a_server_that_looks_for_users(tmp_path: Path) -> None:
    with FileLock(tmp_path / "users.lock"):
        assert not shared_server.close(tmp_path)
    assert shared_server.close(tmp_path)
