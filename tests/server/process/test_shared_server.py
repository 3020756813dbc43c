"""One server for all programs that use a folder: real programs, which are killed."""

import contextlib
import dataclasses
import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, expect

from mnist_sweep.server.process import launch, shared_server

from ..conftest import clean_environment

USE = """
import functools, sys
from pathlib import Path
from mnist_sweep.server.process import shared_server
found = shared_server.find_or_start(Path(sys.argv[1]), functools.partial(print, flush=True))
with shared_server.kept_alive(found):
    print(found.url, found.pid, found.temporary, flush=True)
    sys.stdin.readline()
"""
IDLE_SECONDS = 3.0


class User:
    """A program that uses the server of a folder until its standard input closes."""

    def __init__(self, data: Path) -> None:
        command = [sys.executable, "-c", USE, str(data)]
        env, pipe = clean_environment(data.parent) | {"MNIST_SWEEP_IDLE_SECONDS": str(IDLE_SECONDS)}, subprocess.PIPE
        self.process = subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True)

    def server(self) -> tuple[str, int, bool]:
        """Wait until it has a server; return the server's address, process id and whether it is temporary."""
        assert self.process.stdout is not None
        url, pid, temporary = self.process.stdout.readline().split()
        return url, int(pid), temporary == "True"

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


def announce(data: Path, url: str, key: str) -> None:
    """Leave the announcement of a server that was killed, whose address somebody else has now."""
    data.mkdir(exist_ok=True)
    launch.announce(data, launch.Announcement(url=url, key=key, folder=str(data), pid=1))


def test_a_server_outlives_the_program_that_started_it_and_ends_when_it_is_idle(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = User(data)
    url, pid, temporary = first.server()
    assert temporary
    second = User(data)
    assert second.server()[:2] == (url, pid)
    first.kill()
    time.sleep(2 * IDLE_SECONDS)  # the second program keeps it alive
    third = User(data)
    assert third.server()[:2] == (url, pid)
    second.end()
    third.end()
    found = launch.announced(data)
    assert found is not None
    assert launch.proves(found)  # somebody may still look at its pages
    assert gone(data)


def test_an_open_page_keeps_the_server_and_its_address(tmp_path: Path, browser: Browser) -> None:
    data = tmp_path / "data"
    user = User(data)
    url = user.server()[0]
    found = launch.announced(data)
    assert found is not None
    page = browser.new_page()
    page.clock.install()
    page.goto(launch.login_link(found))
    expect(page.get_by_role("heading", name="Projects")).to_be_visible()
    user.kill()
    for _ in range(3):
        with page.expect_response("**/healthz") as answer:
            page.clock.fast_forward(60_000)
        assert answer.value.ok
        time.sleep(IDLE_SECONDS - 1)
    page.close()
    assert gone(data)
    again = User(data)
    assert again.server()[0] == url  # links that were printed stay valid
    again.end()


def serve(data: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mnist_sweep.server", "--data", str(data), *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=clean_environment(data.parent), stdout=pipe, stderr=pipe, text=True)


def test_a_server_that_a_person_starts_takes_the_place_of_a_temporary_one(tmp_path: Path) -> None:
    data = tmp_path / "data"
    user = User(data)
    url = user.server()[0]
    refused = serve(data, "--self-signed")  # clients would not find it at its address any more
    assert refused.communicate(timeout=60)[1].endswith(f"{data} is already served at {url}\n")
    lasting = serve(data, "--port=0")
    assert lasting.stdout is not None
    assert lasting.stdout.readline() == f"This server takes the place of the temporary one at {url}\n"
    assert url in lasting.stdout.readline()
    user.end()
    time.sleep(2 * IDLE_SECONDS)
    found = launch.announced(data)
    assert found is not None
    assert (found.url, found.pid, found.temporary) == (url, lasting.pid, False)
    assert launch.proves(found)
    lasting.terminate()
    lasting.communicate(timeout=60)
    assert lasting.returncode == 0


def test_the_port_of_a_killed_temporary_server_is_not_taken_by_another_folders(tmp_path: Path) -> None:
    user = User(tmp_path / "data")
    url, pid, _ = user.server()
    os.kill(pid, signal.SIGKILL)
    with started(tmp_path / "other", clean_environment(tmp_path)) as other:
        assert other.url != url
        again = User(tmp_path / "data")
        assert again.server()[0] == url
        again.end()
    user.end()


def test_a_copied_folder_does_not_use_the_original_server(tmp_path: Path) -> None:
    with started(tmp_path / "data", clean_environment(tmp_path)) as original:
        shutil.copytree(tmp_path / "data", tmp_path / "copy")
        assert launch.announced(tmp_path / "copy") is None
        user = User(tmp_path / "copy")
        assert user.server()[0] != original.url
        user.end()
        assert launch.announced(tmp_path / "data") == original.announcement


def test_a_server_removes_no_announcement_but_its_own(tmp_path: Path) -> None:
    with started(tmp_path / "data", clean_environment(tmp_path)) as first:
        second = dataclasses.replace(first.announcement, pid=1, url="http://127.0.0.1:9")
        launch.announce(tmp_path / "data", second)
    assert launch.announced(tmp_path / "data") == second


def test_many_who_come_at_once_get_one_server_and_it_ends_when_all_are_killed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    users = [User(data) for _ in range(4)]
    assert len({user.server() for user in users}) == 1
    for user in users:
        user.kill()
    assert gone(data)


def test_a_server_that_a_person_started_is_used_and_stays(tmp_path: Path) -> None:
    with started(tmp_path / "data", clean_environment(tmp_path)) as server:
        user = User(tmp_path / "data")
        assert user.server() == (server.url, server.announcement.pid, False)
        user.end()
        assert launch.proves(server.announcement)


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
    key = "k" * 40
    announce(tmp_path / "data", address, key)
    user = User(tmp_path / "data")
    assert user.server()[0] != address
    assert told
    assert key not in "".join(told)
    user.end()


def test_the_server_of_another_folder_at_the_address_is_not_believed(tmp_path: Path) -> None:
    env = clean_environment(tmp_path) | {"MNIST_SWEEP_SERVER_KEY": "o" * 40}
    with started(tmp_path / "other", env) as other:
        announce(tmp_path / "data", other.url, "k" * 40)
        user = User(tmp_path / "data")
        assert user.server()[0] != other.url
        user.end()


def test_a_server_that_does_not_answer_is_waited_for_and_that_is_said(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with started(data, clean_environment(tmp_path)) as server:
        os.kill(server.announcement.pid, signal.SIGSTOP)
        try:
            user = User(data)
            assert user.process.stdout is not None
            line = user.process.stdout.readline()
            assert line == f"The local server at {server.url} does not answer; waiting for it …\n"
        finally:
            os.kill(server.announcement.pid, signal.SIGCONT)
        assert user.server()[0] == server.url
        user.end()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(launch.StartError, match=r"^cannot write to its data folder .*file/data: Not a directory$"):
        shared_server.find_or_start(tmp_path / "file" / "data", print)
