"""One server for all programs that use a data folder: whoever comes first starts it, it ends when the last has gone.

Held locks tell who is there. They end with their process, whichever way that ends, and never before:

- `server.lock` is held by the server that serves the folder;
- each `users/….lock` by one program that uses it;
- `users.lock` by whoever comes, until he has found or started the server, and by a server that decides to end.
"""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mnist_sweep.server.process import launch

FOLDER_VARIABLE = "MNIST_SWEEP_USES"
"""Environment of programs that were started by one that uses a folder's server: which folder that is."""
PATIENCE = 120.0
"""Seconds that a server which serves a folder and does not answer is waited for."""
_QUIET = 3.0
_PAUSE = 0.1


@contextmanager
def using(folder: Path) -> Iterator[None]:
    """Keep the folder's server, if it is a shared one, from ending."""
    lock = FileLock(folder / "users" / f"{os.getpid()}-{secrets.token_hex(4)}.lock", thread_local=False)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


@contextmanager
def server(folder: Path, say: Callable[[str], None]) -> Iterator[launch.Facts]:
    """The folder's server for as long as the context lasts.

    Raises:
        StartError: it could not be started, or does not answer; the message is one line.
    """
    try:
        (folder / "users").mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "users.lock").touch(mode=0o600)
    except OSError as error:
        raise launch.StartError(f"cannot write to its data folder {folder}: {error.strerror}") from None
    with using(folder):
        with FileLock(folder / "users.lock"):
            facts, child = _find(folder, say)
        yield facts
    if child is not None and child.process is not None and not anybody(folder):
        child.process.wait(launch.START_SECONDS)  # it ends by itself; nobody shall meet half of it


@contextmanager
def found(folder: Path) -> Iterator[launch.Facts | None]:
    """The folder's server if there is one, which then does not end as long as the context lasts; none is started."""
    if launch.announced(folder) is None:
        yield None
        return
    with using(folder):
        with FileLock(folder / "users.lock"):
            facts = launch.announced(folder)
        yield facts if facts is not None and launch.proves(facts) else None


def restart(folder: Path, facts: launch.Facts) -> None:
    """Start the folder's server anew, at its address, if it was killed and nobody else is about to.

    Raises:
        StartError: it could not be started; the message is one line.
    """
    with suppress(Timeout), FileLock(folder / "users.lock").acquire(timeout=0):
        if _free(folder / "server.lock"):
            _process(folder, facts).start()


def anybody(folder: Path) -> bool:
    """Whether a program uses the folder's server. What the dead left is cleared away."""
    for path in (folder / "users").glob("*.lock"):
        if _free(path):
            path.unlink(missing_ok=True)
        else:
            return True
    return False


def close(folder: Path) -> bool:
    """For the server: if nobody uses it, take back that it serves, so that nobody will; returns whether that is so."""
    try:
        with FileLock(folder / "users.lock").acquire(timeout=0):
            if anybody(folder):
                return False
            launch.withdraw(folder)
            return True
    except Timeout:
        return False


def _find(folder: Path, say: Callable[[str], None]) -> tuple[launch.Facts, launch.ServerProcess | None]:
    began, told = time.monotonic(), False
    while True:
        facts = launch.announced(folder)
        if facts is not None and launch.proves(facts):
            return facts, None
        if _free(folder / "server.lock"):
            return _start(folder, facts)
        waited = time.monotonic() - began
        where = facts.url if facts else str(folder)
        if waited > PATIENCE:
            raise launch.StartError(f"the one at {where} has not answered for {waited:.0f} s")
        if waited > _QUIET and not told:
            say(f"The local server at {where} does not answer; waiting for it …")
            told = True
        time.sleep(_PAUSE)


def _start(folder: Path, killed: launch.Facts | None) -> tuple[launch.Facts, launch.ServerProcess]:
    """Start a server; where one was killed at its address, if that can be had: others may be waiting for it there."""
    if killed is not None:
        with suppress(launch.StartError):
            child = _process(folder, killed)
            return child.start(), child
    child = _process(folder, None)
    return child.start(), child


def _process(folder: Path, killed: launch.Facts | None) -> launch.ServerProcess:
    port = None if killed is None else int(killed.url.rpartition(":")[2])
    return launch.ServerProcess(folder, "--while-used", port=port, apart=True)


def _free(path: Path) -> bool:
    try:
        with FileLock(path).acquire(timeout=0):
            return True
    except Timeout:
        return False
