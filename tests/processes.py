"""What tests ask the system about processes (Linux)."""

from __future__ import annotations

import time
from pathlib import Path

GONE_SECONDS = 240
"""A process that shall end has so long, on a machine that does other things, too."""


def runs(pid: int) -> bool:
    """Whether a process is at work; one that has ended and whose exit code nobody has asked for is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pid: int) -> bool:
    """Whether a process ends soon."""
    deadline = time.monotonic() + GONE_SECONDS
    while runs(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def workers(pid: int) -> list[int]:
    """The processes that Python's multiprocessing has started for a process."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
