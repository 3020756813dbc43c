"""Creating a sweep, agents that work on it side by side, and watching them.

Several agents (`agent.work`), each in a process of its own, share a count of trials. An agent has a service of the
client's own, so that whatever happens to one does not happen to others: where an agent is killed, its parent starts it
anew; where the parent is, its agents end their trials and go.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any

from mnist_sweep import cluster, connect, patience, signals
from mnist_sweep.agent import Endless, Tickets, work
from mnist_sweep.environment import environment
from mnist_sweep.errors import UserError, first_line
from mnist_sweep.patience import Away, Patience
from mnist_sweep.review import api
from mnist_sweep.review.ranking import Ranking
from mnist_sweep.review.review import Review, review

TASK_HEADER = "X-Sweep-Task"
"""By this header of its requests an agent says which task it is and which restart of it, `slurm-812_3.1/1`: the server
then knows that the one before it is gone."""

STOP_SECONDS = 10.0
"""How long agents that are stopped try to reach a server that does not answer."""

RESTART_LIMIT = 3
"""An agent that was killed is started anew, at most so many times without finishing a trial between."""

_STOPPED = [-number for number in signals.STOPS]
"""Exit codes of an agent that a signal to stop met where it was not listening: before its work, or after it."""
_KILLED = [-number for number in signal.Signals if -number not in _STOPPED]


class SweepError(UserError, RuntimeError):
    """A sweep that could not be created or worked on; the message is one line for people."""


@dataclass(frozen=True)
class Sweep:
    """A sweep on a server."""

    path: str
    """entity/project/id"""
    url: str
    config: Mapping[str, Any]
    state: str = ""


def create(config: Mapping[str, Any], project: str, entity: str | None = None) -> Sweep:
    """Create a sweep on the server in use, for the user's own entity by default. Raises SweepError with its reason."""
    import wandb

    try:
        with contextlib.redirect_stdout(io.StringIO()), environment({"WANDB_SILENT": "true"}):
            name = str(config.get("project", project))
            identifier = wandb.sweep(dict(config), project=name, entity=entity)
            return find("/".join([*([entity] if entity else []), name, identifier]), name)
    except (wandb.errors.Error, ValueError) as error:
        raise SweepError(f"the server refused the sweep: {first_line(error)}") from None


def find(path: str, project: str) -> Sweep:
    """An existing sweep by id, project/id or entity/project/id. Raises SweepError where there is none."""
    import wandb

    try:
        api = wandb.Api()
        parts = path.strip("/").split("/")
        full = {1: [api.default_entity, project, *parts], 2: [api.default_entity, *parts]}.get(len(parts), parts)
        found = api.sweep("/".join(str(part) for part in full))
        return _sweep(found)
    except (wandb.errors.Error, ValueError) as error:
        raise SweepError(f"no sweep {path}: {first_line(error)}") from None


def find_all(beside: Sweep) -> list[Sweep]:
    """All sweeps of the project in which `beside` is, oldest first."""
    import wandb

    entity, project, _ = beside.path.split("/")
    return [_sweep(found) for found in reversed(list(wandb.Api().project(project, entity).sweeps()))]


def _sweep(found: Any) -> Sweep:
    return Sweep("/".join(found.path), found.url, found.config, str(found.state))


class Desk:
    """The place of one agent, which outlives it: its share of the tickets, and what it was at when it was killed."""

    def __init__(self, tickets: Tickets, context: SpawnContext) -> None:
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
    desk: Desk
    process: SpawnProcess | None = None
    restart: int = 0
    finished: int = 0
    """Trials at the last restart."""
    fruitless: int = 0
    """Restarts since then."""


class Agents:
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
        tickets: Tickets = Endless() if count is None else self._context.Semaphore(count)
        self._agents = [_Agent(number, Desk(tickets, self._context)) for number in range(1, agents + 1)]
        for agent in self._agents:
            self._start(agent)

    def tend(self) -> bool:
        """Start agents anew that were killed; returns whether any is at work."""
        for agent in self._agents:
            if agent.process is None or agent.process.exitcode not in _KILLED:
                continue
            finished = agent.desk.clear()
            agent.fruitless = agent.fruitless + 1 if finished == agent.finished else 1
            agent.finished = finished
            if agent.fruitless <= RESTART_LIMIT:
                agent.restart += 1
                self._start(agent)
        return any(process.is_alive() for process in self.processes)

    @property
    def processes(self) -> list[SpawnProcess]:
        return [agent.process for agent in self._agents if agent.process is not None]

    @property
    def failed(self) -> bool:
        """At least one agent gave up."""
        fine = (None, 0, 130, cluster.EXIT_PREEMPTED, *_STOPPED)
        return any(process.exitcode not in fine for process in self.processes)

    @property
    def misplaced(self) -> bool:
        """At least one agent gave up for the sake of this machine."""
        return any(process.exitcode == cluster.EXIT_GIVEN_BACK for process in self.processes)

    @property
    def preempted(self) -> bool:
        """At least one agent left work that it, or another one, should go on with."""
        return any(process.exitcode == cluster.EXIT_PREEMPTED for process in self.processes)

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
            if patience.trouble(url):
                for process in alive:
                    process.kill()  # what it had to send is in the folder `wandb`

    def join(self, patience: Patience) -> None:
        """Wait until the agents are done; one that is killed is started anew. Their server is mended, if need be."""
        while self.tend():
            with contextlib.suppress(Away):  # they say so themselves, and end
                patience.lost()
            # with a limit: the last one may end between the two looks, and nothing is waited for for ever
            wait([process.sentinel for process in self.processes if process.is_alive()], timeout=1.0)

    def _start(self, agent: _Agent) -> None:
        arguments = (self._path, agent.number, agent.desk, self._log and self._log(agent.number))
        agent.process = self._context.Process(target=_agent_process, args=arguments)
        with signals.blocked(), environment(_share(agent.number, len(self._agents), agent.restart)):
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


def poll(sweep: Sweep) -> Ranking:
    """The sweep's runs as they are now, ranked, without their histories."""
    import wandb

    return api.ranking(wandb.Api().sweep(sweep.path), histories=False)


def read(sweep: Sweep, **told: Any) -> Review:
    """The whole review of the sweep as it is now; `told` goes to `review.review.review`."""
    import wandb

    public = wandb.Api().sweep(sweep.path)
    ranking = api.ranking(public)
    return review(ranking, media=api.media_of_best(public, ranking), chain=api.chain(public), **told)


def _share(number: int, agents: int, restart: int = 0) -> dict[str, str | None]:
    """Environment of agent `number`: its part of the machine, and names by which reviews and the server know it.

    A number of threads that was set stays: other agents, started apart, may have the rest of the machine.
    """
    task = cluster.task() or cluster.Task(f"{socket.gethostname()}-{_OURS}", restart, "")
    headers = json.loads(os.environ.get(_HEADERS) or "{}") | {TASK_HEADER: f"{task.name}.{number}/{task.restart}"}
    share: dict[str, str | None] = {
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or str(max(1, cluster.cores() // agents)),
        "WANDB_JOB_TYPE": f"agent-{number}" if not task.job else f"{task.name}.{number}",
        "WANDB_SERVICE": None,
        _HEADERS: json.dumps(headers),
    }
    devices = cluster.gpus()
    if devices:
        share["CUDA_VISIBLE_DEVICES"] = devices[(number - 1) % len(devices)]
    return share


_HEADERS = "WANDB_X_EXTRA_HTTP_HEADERS"
_OURS = secrets.token_hex(4)


def _agent_process(path: str, number: int, tickets: Tickets, log: Path | None) -> None:
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # a terminal's Ctrl-C is for the parent, which passes it on once
    if log is not None:
        with log.open("ab", buffering=0) as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    threading.excepthook = _ignore_client
    import torch

    if torch.cuda.device_count() > 1:
        torch.cuda.set_device((number - 1) % torch.cuda.device_count())
    with connect.used():
        sys.exit(work(path, tickets))


def _end_with_parent() -> None:
    """Stop once nobody is there any more who would say so; what is at work is for another start to go on with."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM if sys.platform == "win32" else signal.SIGUSR1)


def _ignore_client(args: threading.ExceptHookArgs) -> None:
    """A helper that the client forgets to end when it leaves a service that is not its own is harmless, but loud."""
    if args.thread is None or args.thread.name != "wandb-ServiceFinalizer":
        threading.__excepthook__(args)
