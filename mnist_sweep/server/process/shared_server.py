"""One server for all programs that use a data folder. The first program starts it; it ends when nobody uses it.

A server that a program starts is temporary: it ends after some minutes without a request. Programs that use it send a
request now and then (`kept_alive`); so do agents, runs and open pages by themselves. `mnist-sweep server` replaces a
temporary server by one that stays.

Two locks end with the process that holds them, however it ends: `server.lock` is held by the server of the folder, and
`start.lock` by a program that starts one.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mnist_sweep.server.process import folder as folders
from mnist_sweep.server.process import launch

IDLE_VARIABLE = "MNIST_SWEEP_IDLE_SECONDS"
"""Environment: seconds without a request after which a temporary server ends."""
IDLE_SECONDS = 180.0
"""The default. Runs that log nothing send a request every 30 seconds."""
UNRESPONSIVE_SECONDS = 120.0
"""How long to wait for a server that serves the folder and does not answer."""
_QUIET_SECONDS = 3.0
_PAUSE = 0.1


def idle_seconds() -> float:
    """Return how long a temporary server waits for a request before it ends."""
    try:
        return float(os.environ[IDLE_VARIABLE])
    except (KeyError, ValueError):
        return IDLE_SECONDS


def find_or_start(folder: Path, say: Callable[[str], None]) -> launch.Announcement:
    """Return the announcement of the folder's server; start a temporary server if there is none.

    Raise StartError if it could not be started, or does not answer; the message is one line.
    """
    try:
        folder = folders.own_folder(folder)
        (folder / "start.lock").touch(mode=0o600)
    except folders.UnsafeFolderError as error:
        raise launch.StartError(str(error.strerror)) from None
    except OSError as error:
        raise launch.StartError(f"cannot write to its data folder {folder}: {error.strerror}") from None
    with FileLock(folder / "start.lock"):
        return _find_or_start(folder, say)


def find(folder: Path) -> launch.Announcement | None:
    """Return the announcement of the folder's server if it answers. Start none."""
    try:
        found = launch.announced(folders.own_folder(folder)) if folder.exists() else None
    except OSError:
        return None
    return found if found is not None and launch.proves(found) else None


def restart(folder: Path, killed: launch.Announcement) -> None:
    """Start the folder's server again, at its address, if it was killed and nobody else is about to start it.

    Raise StartError if it could not be started; the message is one line.
    """
    with suppress(Timeout), FileLock(folder / "start.lock").acquire(timeout=0):
        if _is_free(folder / "server.lock"):
            _temporary_server(folder, killed.port).start()


@contextmanager
def kept_alive(announcement: launch.Announcement) -> Iterator[None]:
    """Keep a temporary server from ending while the context lasts, as long as this process runs."""
    if not announcement.temporary:
        yield
        return
    done = threading.Event()

    def ping() -> None:
        while not done.wait(idle_seconds() / 6):
            launch.proves(announcement)

    threading.Thread(target=ping, name="keep the server alive", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _find_or_start(folder: Path, say: Callable[[str], None]) -> launch.Announcement:
    began, reported = time.monotonic(), False
    while True:
        found = launch.announced(folder)
        if found is not None and launch.proves(found):
            return found
        if _is_free(folder / "server.lock"):
            return _start(folder, found)
        waited = time.monotonic() - began
        where = found.url if found else str(folder)
        if waited > UNRESPONSIVE_SECONDS:
            raise launch.StartError(f"the one at {where} has not answered for {waited:.0f} s")
        if waited > _QUIET_SECONDS and not reported:
            say(f"The local server at {where} does not answer; waiting for it …")
            reported = True
        time.sleep(_PAUSE)


def _start(folder: Path, killed: launch.Announcement | None) -> launch.Announcement:
    """Start a server, if possible at the address of one that was killed: its clients may be waiting for it there."""
    if killed is not None:
        with suppress(launch.StartError):
            return _temporary_server(folder, killed.port).start()
    return _temporary_server(folder, None).start()


def _temporary_server(folder: Path, port: int | None) -> launch.ServerProcess:
    return launch.ServerProcess(folder, f"--idle-timeout={idle_seconds():g}", port=port, apart=True)


def _is_free(path: Path) -> bool:
    try:
        with FileLock(path).acquire(timeout=0):
            return True
    except Timeout:
        return False
