"""`mnist-sweep agent`: signals reach its agents, and its exit code says how they ended."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from mnist_sweep.agents import pool as module
from mnist_sweep.agents.pool import AgentPool
from mnist_sweep.commands.agent import join
from mnist_sweep.connection import connect
from mnist_sweep.connection.connect import WandbServer
from mnist_sweep.connection.waiting import RetryPolicy
from mnist_sweep.signals import STOPS, Signals
from mnist_sweep.sweep import remote
from mnist_sweep.sweep.remote import Sweep
from tests.conftest import RunCommand

NOBODY = "http://127.0.0.1:9"


class Pool:
    """A pool without processes, which ends as its class attributes say."""

    preempted = node_unfit = failed = False
    signal_while_joining: int | None = None
    started: list[tuple[str, dict[str, Any]]]

    def __init__(self, path: str, **options: Any) -> None:
        self.sent: list[int] = []
        self.joined = 0
        type(self).started.append((path, options))

    def join(self, retry: RetryPolicy) -> None:
        self.joined += 1
        if self.signal_while_joining is not None and self.joined == 1:
            os.kill(os.getpid(), self.signal_while_joining)

    def send(self, number: int) -> None:
        self.sent.append(number)

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> type[Pool]:
    """A class of pools of this test's own."""
    own = type("Own", (Pool,), {"started": []})
    monkeypatch.setattr(module, "AgentPool", own)
    return own


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sweep:
    """A sweep of three trials on a server that nobody asks."""

    @contextmanager
    def connected_server(say: Callable[[str], None]) -> Iterator[WandbServer]:
        yield WandbServer(url=NOBODY, local=True)

    found = Sweep(path="local/p/abc", url="", config={"run_cap": 3})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(connect, "connected_server", connected_server)
    monkeypatch.setattr(remote, "find", lambda path, project: found)
    return found


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("number", STOPS)
def test_a_signal_is_passed_on_and_the_agents_are_waited_for(pool: type[Pool], number: signal.Signals) -> None:
    pool.signal_while_joining = number
    agents, stop_signals = pool("local/p/abc"), Signals(STOPS)
    with stop_signals.handled():
        assert join(cast(AgentPool, agents), stop_signals, RetryPolicy(NOBODY))
    assert (agents.sent, agents.joined) == ([number], 2)


def test_without_a_signal_the_agents_are_waited_for_once(pool: type[Pool]) -> None:
    agents = pool("local/p/abc")
    assert not join(cast(AgentPool, agents), Signals(STOPS), RetryPolicy(NOBODY))
    assert (agents.sent, agents.joined) == ([], 1)


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        ({}, 0),
        ({"failed": True}, 1),
        ({"node_unfit": True, "failed": True}, 70),
        ({"preempted": True, "failed": True}, 75),
        ({"signal_while_joining": signal.SIGINT, "failed": True}, 130),
        ({"signal_while_joining": signal.SIGTERM, "preempted": True}, 75),
    ],
    ids=str,
)
def test_the_exit_code_says_how_the_agents_ended(
    run_command: RunCommand, pool: type[Pool], sweep: Sweep, ended: dict[str, Any], code: int
) -> None:
    for name, value in ended.items():
        setattr(pool, name, value)
    assert run_command("agent", "abc") == (code, "", "")


def test_there_are_no_more_agents_than_trials(run_command: RunCommand, pool: type[Pool], sweep: Sweep) -> None:
    code, out, err = run_command("agent", "abc", "--agents=5", "--count=9", "--oversubscribe")
    ((path, options),) = pool.started
    assert (code, out, path, options["agents"], options["count"]) == (0, "", "local/p/abc", 3, 9)
    assert err.splitlines() == [
        "Starting 3 of 5 agents: there are 3 trials to train",
        "The agents' output is in wandb/agents-abc",
    ]
    assert options["log"](2) == Path("wandb/agents-abc/agent-2.log")


def test_agents_per_gpu_need_a_gpu(run_command: RunCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    code, out, err = run_command("agent", "abc", "--agents-per-gpu=2")
    assert (code, out) == (1, "")
    assert err.endswith(" has no visible GPU (CUDA_VISIBLE_DEVICES is ''); use --agents to run on CPUs\n")
    assert len(err.splitlines()) == 1
