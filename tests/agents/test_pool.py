from __future__ import annotations

import io
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mnist_sweep.agents import pool as module
from mnist_sweep.agents.child import child_environment
from mnist_sweep.agents.pool import AgentPool
from mnist_sweep.cluster import task
from mnist_sweep.commands.local_agents import train_trials
from mnist_sweep.connection.waiting import RetryPolicy
from mnist_sweep.sweep.remote import Sweep
from tests.processes import gone


def test_agents_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(task, "cores", lambda: 8)
    assert [child_environment(1, agents)["OMP_NUM_THREADS"] for agents in (1, 3, 8, 20)] == ["8", "2", "1", "1"]


def test_threads_that_were_set_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two `mnist-sweep agent` started apart would else take two threads each on two cores, and spin."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert child_environment(1, 1)["OMP_NUM_THREADS"] == "1"


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_agents_are_being_started_ends_them(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teams: list[AgentPool] = []

    class Struck(AgentPool):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            os.kill(os.getpid(), number)
            super().__init__(*arguments, **named)
            teams.append(self)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "AgentPool", Struck)
    nobody, said = "http://127.0.0.1:9", Console(file=io.StringIO())
    try:
        code = train_trials(Sweep(path="local/p/s", url=nobody, config={}), 1, 2, said, RetryPolicy(nobody))
    except KeyboardInterrupt:
        pytest.fail("not held back")
    assert code == 130
    (team,) = teams
    assert [gone(process.pid or 0) for process in team.processes] == [True] * 2
    assert isinstance(said.file, io.StringIO)
    assert "Stopping: " in said.file.getvalue()
    assert "gave up" not in said.file.getvalue()
