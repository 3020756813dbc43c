"""Several agents in processes of their own, which share a number of trials.

Each agent has its own service process of W&B's client, so that a failure of one does not affect the others. If an agent
is killed, the pool restarts it. If the pool's process ends, its agents finish their uploads and exit.
"""

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
from mnist_sweep.errors import INTERRUPTED
from mnist_sweep.protocol import EXIT_NODE_UNFIT, EXIT_PREEMPTED
from mnist_sweep.review.formatting import counted

STOP_SECONDS = 10.0
"""How long stopped agents try to reach a server that does not answer."""

RESTART_LIMIT = 3
"""How often a killed agent is restarted in a row without completing a trial."""

AGENT_MEMORY = 1 << 30
"""Bytes that one agent needs: Python, torch, MNIST, what the training step keeps, and the client's service process."""

_STOPPED = [-number for number in signals.STOPS]
"""Exit codes of an agent that a stop signal ended while it did not handle signals: before or after its work."""
_KILLED = [-number for number in signal.Signals if -number not in _STOPPED]


class TrialSlot:
    """One agent's share of the quota. It outlives the agent's process and knows whether a killed one was training."""

    def __init__(self, quota: TrialQuota, context: SpawnContext) -> None:
        self._quota = quota
        self._busy = context.RawValue("b", 0)
        self._finished = context.RawValue("i", 0)

    def acquire(self, block: bool = True) -> bool:
        """Finish the previous trial and return whether another one may start."""
        self._finished.value += self._busy.value
        self._busy.value = 0
        self._busy.value = int(self._quota.acquire(block))
        return bool(self._busy.value)

    def release(self) -> None:
        """Return the current trial to the quota: it does not count."""
        self._busy.value = 0
        self._quota.release()

    def clear(self) -> int:
        """Return the unfinished trial of a killed agent to the quota, and return how many trials it finished."""
        if self._busy.value:
            self.release()
        return int(self._finished.value)


@dataclass(kw_only=True)
class _Agent:
    """One agent and its current process."""

    number: int
    slot: TrialSlot
    process: SpawnProcess | None = None
    restart: int = 0
    finished: int = 0
    """Trials that it had finished at the last restart."""
    restarts_without_progress: int = 0


class AgentPool:
    """Agents in processes of their own, which share a quota of trials and the machine's cores or GPUs."""

    note = ""
    """The live view shows nothing about local agents beside their trials."""

    def __init__(
        self, path: str, *, agents: int = 1, count: int | None = None, log: Callable[[int], Path] | None = None
    ) -> None:
        """Start `agents` processes that together train `count` trials (None: until the sweep ends).

        `log` returns the file for the output of agent 1, 2, …; without it, agents print where this process prints.
        Raises OSError if the folder of the logs cannot be created.
        """
        self._path, self._log = path, log
        if log is not None:
            log(1).parent.mkdir(parents=True, exist_ok=True)
        self._context = multiprocessing.get_context("spawn")
        resource_tracker.ensure_running()  # it would unblock signals if the first agent started it
        quota: TrialQuota = UnlimitedQuota() if count is None else self._context.Semaphore(count)
        self._agents = [_Agent(number=number, slot=TrialSlot(quota, self._context)) for number in range(1, agents + 1)]
        for agent in self._agents:
            self._start(agent)

    def update(self) -> None:
        """Restart agents that were killed, up to RESTART_LIMIT times without a completed trial."""
        for agent in self._agents:
            if agent.process is None or agent.process.exitcode not in _KILLED:
                continue
            finished = agent.slot.clear()
            agent.restarts_without_progress = agent.restarts_without_progress + 1 if finished == agent.finished else 1
            agent.finished = finished
            if agent.restarts_without_progress <= RESTART_LIMIT:
                agent.restart += 1
                self._start(agent)

    def any_alive(self) -> bool:
        """Return whether any agent is running."""
        return any(process.is_alive() for process in self.processes)

    @property
    def processes(self) -> list[SpawnProcess]:
        """The current process of each agent."""
        return [agent.process for agent in self._agents if agent.process is not None]

    @property
    def failed(self) -> bool:
        """Whether at least one agent gave up."""
        fine = (None, 0, INTERRUPTED, EXIT_PREEMPTED, *_STOPPED)
        return any(process.exitcode not in fine for process in self.processes)

    @property
    def node_unfit(self) -> bool:
        """Whether at least one agent gave up because of this machine."""
        return any(process.exitcode == EXIT_NODE_UNFIT for process in self.processes)

    @property
    def preempted(self) -> bool:
        """Whether at least one agent left work that should be resumed."""
        return any(process.exitcode == EXIT_PREEMPTED for process in self.processes)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to every running agent."""
        for process in self.processes:
            if process.is_alive() and process.pid is not None:
                os.kill(process.pid, number)

    def close(self) -> None:
        """Disconnect from the client's service. A scheduler may have ended it before, which the client reports."""
        import wandb

        with contextlib.suppress(Exception):
            wandb.teardown()

    def stop(self, url: str) -> None:
        """Stop the running trials and wait for their uploads, as long as the server at `url` answers."""
        self.send(signal.SIGTERM)
        while alive := [process for process in self.processes if process.is_alive()]:
            wait([process.sentinel for process in alive], timeout=STOP_SECONDS)
            if waiting.why_unavailable(url):
                for process in alive:
                    process.kill()  # what it has not sent is in the folder `wandb`

    def join(self, retry: RetryPolicy) -> None:
        """Wait until the agents are done. Meanwhile, restart agents that were killed, and their server if need be."""
        while True:
            self.update()
            if not self.any_alive():
                return
            with contextlib.suppress(ServerUnavailable):  # the agents report it themselves, and exit
                retry.recover()
            # The timeout is needed: the last agent may end before it is waited for.
            wait([process.sentinel for process in self.processes if process.is_alive()], timeout=1.0)

    def _start(self, agent: _Agent) -> None:
        arguments = (self._path, agent.number, agent.slot, self._log and self._log(agent.number))
        agent.process = self._context.Process(target=run_child, args=arguments)
        with signals.blocked(), environment(child_environment(agent.number, len(self._agents), agent.restart)):
            agent.process.start()


@dataclass(frozen=True)
class AgentLimit:
    """How many agents may run, and what limits them."""

    agents: int
    reason: str = ""
    """What the limit is, as in `2 cores`; empty if the number is what was asked for."""


def limit_agents(asked: int, trials: int | None, *, oversubscribe: bool = False) -> AgentLimit:
    """Return how many of `asked` agents to start: as many as there are trials, cores, and memory for.

    `trials` is None if their number is unknown. With `oversubscribe`, only the trials are a limit.
    """
    limits: dict[str, int] = {}
    if not oversubscribe:
        cores, free = cluster.cores(), cluster.free_memory()
        limits[f"this machine has {counted(cores, 'core')}"] = cores
        if free is not None:
            limits[f"{free / (1 << 30):.1f} GiB of memory are free"] = max(free // AGENT_MEMORY, 1)
    if trials is not None:
        limits[f"there are {trials} trials to train" if trials > 1 else "there is one trial to train"] = trials
    reason, least = min(limits.items(), key=lambda limit: limit[1], default=("", asked))
    return AgentLimit(asked) if asked <= least else AgentLimit(least, reason)


def agents_for_gpus(per_gpu: int) -> int:
    """Return how many agents run on this machine's visible GPUs, `per_gpu` on each. Raise NodeError without a GPU."""
    devices = cluster.gpus()
    if devices is None:
        import torch

        count = torch.cuda.device_count()
    else:
        count = len(devices)
    if not count:
        named = os.environ.get("CUDA_VISIBLE_DEVICES")
        why = "" if named is None else f" (CUDA_VISIBLE_DEVICES is {named!r})"
        raise cluster.NodeError(
            f"--agents-per-gpu: {cluster.node()} has no visible GPU{why}; use --agents to run on CPUs"
        )
    return per_gpu * count
