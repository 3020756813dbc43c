"""What a test starts ends with it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ended_afterwards, marked, runs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def start(mark: dict[str, str]) -> tuple[int, int]:
    """Start a program and, through it, another one in a session of its own; return both processes."""
    process = subprocess.Popen([sys.executable, "-c", PARENT], env=os.environ | mark, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process.pid, int(process.stdout.readline())


def test_programs_and_their_children_end_with_a_test_that_fails(tmp_path: Path) -> None:
    pids: list[int] = []

    def fail() -> None:
        with ended_afterwards(tmp_path) as mark:
            pids.extend(start(mark))
            assert sorted(marked(tmp_path)) == sorted(pids)
            raise TimeoutError

    with pytest.raises(TimeoutError):
        fail()
    assert not any(map(runs, pids))


def test_other_processes_stay(tmp_path: Path) -> None:
    with ended_afterwards(tmp_path / "other") as mark:
        pids = start(mark)
        with ended_afterwards(tmp_path):
            pass
        assert all(map(runs, pids))
