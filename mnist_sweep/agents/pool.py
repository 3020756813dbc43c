"""Creating a sweep, agents that work on it side by side, and watching them.

Several agents (`agent.work`), each in a process of its own, share a count of trials. An agent has a service of the
client's own, so that whatever happens to one does not happen to others: where an agent is killed, its parent starts it
anew; where the parent is, its agents end their trials and go.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path

from mnist_sweep import signals
from mnist_sweep.agents.child import child_environment, run_child
from mnist_sweep.agents.loop import TrialQuota, UnlimitedQuota
from mnist_sweep.cluster import task as cluster
from mnist_sweep.connection import waiting
from mnist_sweep.connection.waiting import RetryPolicy, ServerUnavailable
from mnist_sweep.environment import environment
from mnist_sweep.protocol import EXIT_NODE_UNFIT, EXIT_PREEMPTED

STOP_SECONDS = 10.0
"""How long agents that are stopped try to reach a server that does not answer."""

RESTART_LIMIT = 3
"""An agent that was killed is started anew, at most so many times without finishing a trial between."""

_STOPPED = [-number for number in signals.STOPS]
"""Exit codes of an agent that a signal to stop met where it was not listening: before its work, or after it."""
_KILLED = [-number for number in signal.Signals if -number not in _STOPPED]


class TrialSlot:
    """The place of one agent, which outlives it: its share of the tickets, and what it was at when it was killed."""

    def __init__(self, tickets: TrialQuota, context: SpawnContext) -> None:
        self._tickets = tickets
        self._busy = context.RawValue("b", 0)
        self._finished = context.RawValue("i", 0)

    def acquire(self, block: bool = True) -> bool:
        """A ticket for the next trial; the one before is over."""
        self._finished.value += self._busy.value
        self._busy.value = 0
        self._busy.value = int(self._tickets.acquire(block))
        return bool(self._busy.value)

    def release(self) -> None:
        """Give the ticket back: its trial does not count."""
        self._busy.value = 0
        self._tickets.release()

    def clear(self) -> int:
        """After its agent was killed: give back what that left undone; returns how many trials it had finished."""
        if self._busy.value:
            self.release()
        return int(self._finished.value)


@dataclass
class _Agent:
    """One agent, in one process after another."""

    number: int
    slot: TrialSlot
    process: SpawnProcess | None = None
    restart: int = 0
    finished: int = 0
    """Trials at the last restart."""
    restarts_without_progress: int = 0
    """Restarts since then."""


class AgentPool:
    """Several agents in processes of their own, sharing one count of trials and the machine's cores or GPUs."""

    note = ""
    """What a live view says about them beside their trials."""

    def __init__(
        self, path: str, *, agents: int = 1, count: int | None = None, log: Callable[[int], Path] | None = None
    ) -> None:
        """Start `agents` processes that together train `count` trials (None: until the sweep ends).

        `log` says where the output of agent 1, 2, … goes; without it, it goes where this process's goes. Raises OSError
        where that cannot be.
        """
        self._path, self._log = path, log
        if log is not None:
            log(1).parent.mkdir(parents=True, exist_ok=True)
        self._context = multiprocessing.get_context("spawn")
        resource_tracker.ensure_running()  # which would unblock signals when the first agent starts it
        tickets: TrialQuota = UnlimitedQuota() if count is None else self._context.Semaphore(count)
        self._agents = [_Agent(number, TrialSlot(tickets, self._context)) for number in range(1, agents + 1)]
        for agent in self._agents:
            self._start(agent)

    def tend(self) -> bool:
        """Start agents anew that were killed; returns whether any is at work."""
        for agent in self._agents:
            if agent.process is None or agent.process.exitcode not in _KILLED:
                continue
            finished = agent.slot.clear()
            agent.restarts_without_progress = agent.restarts_without_progress + 1 if finished == agent.finished else 1
            agent.finished = finished
            if agent.restarts_without_progress <= RESTART_LIMIT:
                agent.restart += 1
                self._start(agent)
        return any(process.is_alive() for process in self.processes)

    @property
    def processes(self) -> list[SpawnProcess]:
        return [agent.process for agent in self._agents if agent.process is not None]

    @property
    def failed(self) -> bool:
        """At least one agent gave up."""
        fine = (None, 0, 130, EXIT_PREEMPTED, *_STOPPED)
        return any(process.exitcode not in fine for process in self.processes)

    @property
    def node_unfit(self) -> bool:
        """At least one agent gave up for the sake of this machine."""
        return any(process.exitcode == EXIT_NODE_UNFIT for process in self.processes)

    @property
    def preempted(self) -> bool:
        """At least one agent left work that it, or another one, should go on with."""
        return any(process.exitcode == EXIT_PREEMPTED for process in self.processes)

    def send(self, number: signal.Signals) -> None:
        """Pass a signal on to every agent."""
        for process in self.processes:
            if process.is_alive() and process.pid is not None:
                os.kill(process.pid, number)

    def close(self) -> None:
        """Leave the client's service, which a scheduler may have ended before: the client complains about that."""
        import wandb

        with contextlib.suppress(Exception):
            wandb.teardown()

    def stop(self, url: str) -> None:
        """End the running trials and wait for them: their uploads are finished first, if their server answers."""
        self.send(signal.SIGTERM)
        while alive := [process for process in self.processes if process.is_alive()]:
            wait([process.sentinel for process in alive], timeout=STOP_SECONDS)
            if waiting.why_unavailable(url):
                for process in alive:
                    process.kill()  # what it had to send is in the folder `wandb`

    def join(self, patience: RetryPolicy) -> None:
        """Wait until the agents are done; one that is killed is started anew. Their server is mended, if need be."""
        while self.tend():
            with contextlib.suppress(ServerUnavailable):  # they say so themselves, and end
                patience.lost()
            # with a limit: the last one may end between the two looks, and nothing is waited for for ever
            wait([process.sentinel for process in self.processes if process.is_alive()], timeout=1.0)

    def _start(self, agent: _Agent) -> None:
        arguments = (self._path, agent.number, agent.slot, self._log and self._log(agent.number))
        agent.process = self._context.Process(target=run_child, args=arguments)
        with signals.blocked(), environment(child_environment(agent.number, len(self._agents), agent.restart)):
            agent.process.start()


def for_gpus(each: int) -> int:
    """How many agents share this machine's visible GPUs, `each` on one. Raises NodeError where none is visible."""
    devices = cluster.gpus()
    if devices is None:
        import torch

        count = torch.cuda.device_count()
    else:
        count = len(devices)
    if not count:
        named = os.environ.get("CUDA_VISIBLE_DEVICES")
        why = "" if named is None else f" (CUDA_VISIBLE_DEVICES is {named!r})"
        raise cluster.NodeError(f"--agents-per-gpu: {cluster.node()} has no visible GPU{why}; on CPUs say --agents")
    return each * count
