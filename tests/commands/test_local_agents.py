"""Agents that commands start: how many, and that they end whatever happens to the view."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mnist_sweep.agents import pool
from mnist_sweep.commands.local_agents import allowed_agents, train_trials, trial_limit
from mnist_sweep.connection.waiting import RetryPolicy
from mnist_sweep.sweep import live_view
from mnist_sweep.sweep.remote import Sweep


def test_a_limit_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(pool.cluster, "cores", lambda: 2)
    monkeypatch.setattr(pool.cluster, "free_memory", lambda: None)
    assert allowed_agents(99, 50, said.append) == 2
    assert allowed_agents(99, 1, said.append) == 1
    assert allowed_agents(99, 50, said.append, oversubscribe=True) == 50
    assert allowed_agents(2, 50, said.append) == 2
    assert said == [
        "Starting 2 of 99 agents: this machine has 2 cores; --oversubscribe starts all",
        "Starting 1 of 99 agents: there is one trial to train",
        "Starting 50 of 99 agents: there are 50 trials to train",
    ]


def test_agents_are_stopped_if_the_view_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, the command showed nothing and waited until they had trained everything."""
    stopped: list[str] = []

    class Pool:
        def __init__(self, *arguments: Any, **options: Any) -> None:
            pass

        def stop(self, url: str) -> None:
            stopped.append(url)

    def broken(*arguments: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pool, "AgentPool", Pool)
    monkeypatch.setattr(live_view, "follow", broken)
    nobody = "http://127.0.0.1:9"
    with pytest.raises(RuntimeError, match="a bug"):
        train_trials(
            Sweep(path="local/p/s", url=nobody, config={}), 1, 1, Console(file=io.StringIO()), RetryPolicy(nobody)
        )
    assert stopped == [nobody]


@pytest.mark.parametrize(
    ("count", "config", "limit"),
    [(None, {}, None), (3, {}, 3), (None, {"run_cap": 5}, 5), (3, {"run_cap": 5}, 3), (9, {"run_cap": 5}, 5)],
)
def test_count_and_run_cap_limit_the_trials(count: int | None, config: dict[str, int], limit: int | None) -> None:
    assert trial_limit(count, config) == limit
