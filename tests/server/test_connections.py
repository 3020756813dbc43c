"""Somebody without a key opens connections and says nothing."""

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from mnist_sweep.server.process.launch import ServerProcess
from tests.server.conftest import clean_environment

LIMITED = (
    "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}));"
    "from mnist_sweep.server import connections; connections.SILENT_SECONDS = {silent};"
    "from mnist_sweep.server.__main__ import main; sys.exit(main(sys.argv[1:]))"
)


@contextlib.contextmanager
def limited(tmp_path: Path, **limits: float) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path / "data", env=clean_environment(tmp_path), program=("-c", LIMITED.format(**limits)))
    server.start()
    try:
        yield server
    finally:
        code = server.stop()
    assert code == 0


@contextlib.contextmanager
def silent(server: ServerProcess, count: int, sent: bytes = b"") -> Iterator[list[socket.socket]]:
    """Open connections that send no whole request."""
    with contextlib.ExitStack() as stack:
        connections = []
        for _ in range(count):
            address = ("127.0.0.1", server.announcement.port)
            connection = stack.enter_context(socket.create_connection(address, timeout=10))
            connection.sendall(sent)
            connections.append(connection)
        yield connections


def answers(server: ServerProcess) -> bool:
    try:
        return httpx.get(f"{server.url}/", auth=("api", server.key), timeout=3).status_code == 200
    except httpx.HTTPError:
        return False


def test_idle_connections_do_not_lock_out_a_client(tmp_path: Path) -> None:
    with limited(tmp_path, soft=100, hard=2000, silent=600) as server, silent(server, 300):
        assert answers(server)


def test_without_descriptors_one_line_is_logged_and_the_silent_ones_are_closed(tmp_path: Path) -> None:
    with limited(tmp_path, soft=100, hard=100, silent=4) as server, silent(server, 200, b"GET / HTTP/1.1\r\nHo"):
        time.sleep(3)
        log = [line for line in server.output.splitlines() if "ERROR" in line]
        assert len(log) == 1
        assert log[0].endswith("cannot accept new connections for now: Too many open files")
        deadline = time.monotonic() + 60
        while not answers(server):
            assert time.monotonic() < deadline, server.output
        assert len(server.output) < 5_000


def test_a_connection_with_half_a_request_is_closed(tmp_path: Path) -> None:
    with limited(tmp_path, soft=100, hard=100, silent=1) as server:
        for sent in (b"", b"GET / HTTP/1.1\r\nHost: x\r\n"):
            with silent(server, 1, sent) as (connection,), contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""
