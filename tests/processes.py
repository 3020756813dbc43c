"""Helpers of tests for the processes that they start (Linux)."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

GONE_SECONDS = 240
"""Time within which a process that should end must have ended, on a machine that does other things, too."""

MARK = "TEST_FOLDER"
"""Variable in the environment of all programs that a test starts. Their children inherit it, whatever their group."""


@contextmanager
def ended_afterwards(folder: Path) -> Iterator[dict[str, str]]:
    """Yield a variable for the environment of programs. On exit, kill all processes that have it, children included."""
    mark = {MARK: str(folder)}
    try:
        yield mark
    finally:
        deadline = time.monotonic() + 10
        while (left := marked(folder)) and time.monotonic() < deadline:
            for pid in left:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)


def marked(folder: Path) -> list[int]:
    """Return the running processes whose environment has the mark of `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended, or is another user's
            if f"{MARK}={folder}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return [pid for pid in found if runs(pid)]


def runs(pid: int) -> bool:
    """Return whether a process is running. One that has ended but was not waited for is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pid: int) -> bool:
    """Wait until a process has ended, and return whether it has."""
    deadline = time.monotonic() + GONE_SECONDS
    while runs(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def workers(pid: int) -> list[int]:
    """Return the processes that Python's multiprocessing has started for a process."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
