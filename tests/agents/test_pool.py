"""Agents in processes of their own: how many, how they start and how they end."""

import io
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mnist_sweep.agents import pool as module
from mnist_sweep.agents.pool import AgentLimit, AgentPool, limit_agents
from mnist_sweep.cluster import task
from mnist_sweep.commands.local_agents import train_trials
from mnist_sweep.connection.waiting import RetryPolicy
from mnist_sweep.sweep.remote import Sweep
from tests.processes import gone


def test_agents_are_limited_by_trials_cores_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--agents 99` on two cores took 24 GB and made the machine unusable."""
    monkeypatch.setattr(task, "cores", lambda: 2)
    monkeypatch.setattr(task, "free_memory", lambda: 64 << 30)
    assert limit_agents(99, None) == AgentLimit(2, "this machine has 2 cores")
    assert limit_agents(2, None) == AgentLimit(2)
    assert limit_agents(99, 1) == AgentLimit(1, "there is one trial to train")
    monkeypatch.setattr(task, "cores", lambda: 64)
    assert limit_agents(99, 5) == AgentLimit(5, "there are 5 trials to train")
    monkeypatch.setattr(task, "free_memory", lambda: 3 << 30)
    assert limit_agents(99, 80) == AgentLimit(3, "3.0 GiB of memory are free")
    assert limit_agents(99, 80, oversubscribe=True) == AgentLimit(80, "there are 80 trials to train")
    assert limit_agents(99, None, oversubscribe=True) == AgentLimit(99)
    monkeypatch.setattr(task, "free_memory", lambda: 1)
    assert limit_agents(99, None).agents == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_agents_are_being_started_ends_them(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools: list[AgentPool] = []

    class Signalled(AgentPool):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            os.kill(os.getpid(), number)
            super().__init__(*arguments, **named)
            pools.append(self)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "AgentPool", Signalled)
    nobody, said = "http://127.0.0.1:9", Console(file=io.StringIO())
    try:
        code = train_trials(Sweep(path="local/p/s", url=nobody, config={}), 1, 2, said, RetryPolicy(nobody))
    except KeyboardInterrupt:
        pytest.fail("not deferred")
    assert code == 130
    (pool,) = pools
    assert [gone(process.pid or 0) for process in pool.processes] == [True] * 2
    assert isinstance(said.file, io.StringIO)
    assert "Stopping: " in said.file.getvalue()
    assert "gave up" not in said.file.getvalue()
