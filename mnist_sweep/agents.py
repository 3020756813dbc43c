"""Creating a sweep, agents that work on it, and watching them.

An agent here is `wandb.agent` in a process that stays warm: torch, the data and the client are loaded once, not once a
trial, and the client's background service is its parent's, which stays up. Several agents share a count of trials, and
a suggestion over budget gives its place back.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from mnist_sweep.environment import environment
from mnist_sweep.errors import UserError
from mnist_sweep.review import api
from mnist_sweep.review.ranking import Ranking
from mnist_sweep.review.review import Review, review

INVALID_LIMIT = 3
"""An agent gives up after this many failed runs in a row."""

OVER_BUDGET_LIMIT = 100
"""… or after this many suggestions over budget in a row."""


class SweepError(UserError, RuntimeError):
    """A sweep that could not be created or worked on; the message is one line for people."""


@dataclass(frozen=True)
class Sweep:
    """A sweep on a server."""

    path: str
    """entity/project/id"""
    url: str
    config: Mapping[str, Any]


class Tickets(Protocol):
    """How many trials may still start; one may be shared by several processes."""

    def acquire(self, block: bool = ...) -> bool: ...

    def release(self) -> None: ...


class Endless:
    """Tickets without end: the sweep itself says when it is over."""

    def acquire(self, block: bool = True) -> bool:
        return True

    def release(self) -> None:
        pass


def create(config: Mapping[str, Any], project: str) -> Sweep:
    """Create a sweep on the server in use. Raises SweepError with the server's reason."""
    import wandb

    try:
        with contextlib.redirect_stdout(io.StringIO()), environment({"WANDB_SILENT": "true"}):
            identifier = wandb.sweep(dict(config), project=str(config.get("project", project)))
            return find(identifier, str(config.get("project", project)))
    except (wandb.errors.Error, ValueError) as error:
        raise SweepError(f"the server refused the sweep: {_first_line(error)}") from None


def find(path: str, project: str) -> Sweep:
    """An existing sweep by id, project/id or entity/project/id. Raises SweepError where there is none."""
    import wandb

    try:
        api = wandb.Api()
        parts = path.strip("/").split("/")
        full = {1: [api.default_entity, project, *parts], 2: [api.default_entity, *parts]}.get(len(parts), parts)
        found = api.sweep("/".join(str(part) for part in full))
        return Sweep("/".join(found.path), found.url, found.config)
    except (wandb.errors.Error, ValueError) as error:
        raise SweepError(f"no sweep {path}: {_first_line(error)}") from None


def work(path: str, tickets: Tickets) -> int:
    """Work on the sweep `path` (entity/project/id) until its tickets or the sweep itself run out, or Ctrl-C or SIGTERM.

    Returns:
        The exit code: 0, 1 after INVALID_LIMIT failed runs or OVER_BUDGET_LIMIT refused suggestions in a row, 130 if
        stopped.
    """
    import wandb

    from mnist_sweep.train import Outcome, train

    stopped = threading.Event()

    def stop(signum: int, frame: FrameType | None) -> None:
        stopped.set()
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    failed = refused = 0
    while not stopped.is_set() and tickets.acquire(block=False):
        called, outcomes = threading.Event(), list[Outcome]()

        def trial(called: threading.Event = called, outcomes: list[Outcome] = outcomes) -> None:
            called.set()
            try:
                outcomes.append(train())
            except Exception:
                if not stopped.is_set():
                    raise
                # the client's way to stop a trial; `train` has finished the run by now
                print("stopped: what was logged so far is kept", file=sys.stderr)

        try:
            wandb.agent(path, function=trial, count=1)
        except KeyboardInterrupt:
            return 130
        if not called.is_set():
            break  # the sweep is over
        if not outcomes and not stopped.is_set():
            failed += 1
        elif outcomes:
            failed = 0
        if outcomes and not outcomes[0].feasible:
            tickets.release()
            refused += 1
        else:
            refused = 0
        if failed >= INVALID_LIMIT:
            print(f"error: {failed} runs in a row failed: run `mnist-sweep check` on the sweep file", file=sys.stderr)
            return 1
        if refused >= OVER_BUDGET_LIMIT:
            print(f"error: {refused} suggestions in a row were over budget: narrow the widths", file=sys.stderr)
            return 1
    return 130 if stopped.is_set() else 0


class Agents:
    """Several agents in processes of their own, sharing one count of trials and the machine's cores or GPUs."""

    def __init__(
        self, path: str, *, agents: int = 1, count: int | None = None, log: Callable[[int], Path] | None = None
    ) -> None:
        """Start `agents` processes that together train `count` trials (None: until the sweep ends).

        `log` says where the output of agent 1, 2, … goes; without it, it goes where this process's goes.
        """
        import wandb

        wandb.Api()  # starts the client's service, which the processes started below use too (WANDB_SERVICE)
        context = multiprocessing.get_context("spawn")
        # kept: the semaphore ends with its last reference in this process
        self.tickets: Tickets = Endless() if count is None else context.Semaphore(count)
        self.processes: list[SpawnProcess] = []
        for number in range(1, agents + 1):
            with environment(_share(number, agents)):
                process = context.Process(target=_agent_process, args=(path, number, self.tickets, log and log(number)))
                process.start()
            self.processes.append(process)

    @property
    def alive(self) -> bool:
        return any(process.is_alive() for process in self.processes)

    @property
    def failed(self) -> bool:
        """At least one agent gave up."""
        return any(process.exitcode not in (None, 0, 130, -signal.SIGINT) for process in self.processes)

    def stop(self) -> None:
        """End the running trials and wait for them: their uploads are finished first."""
        for process in self.processes:
            if process.is_alive():
                process.terminate()
        self.join()

    def join(self) -> None:
        for process in self.processes:
            process.join()


def poll(sweep: Sweep) -> Ranking:
    """The sweep's runs as they are now, ranked, without their histories."""
    import wandb

    return api.ranking(wandb.Api().sweep(sweep.path), histories=False)


def read(sweep: Sweep, **told: Any) -> Review:
    """The whole review of the sweep as it is now; `told` goes to `review.review.review`."""
    import wandb

    public = wandb.Api().sweep(sweep.path)
    ranking = api.ranking(public)
    return review(ranking, media=api.media_of_best(public, ranking), **told)


def _share(number: int, agents: int) -> dict[str, str]:
    """Environment of agent `number`: its part of the machine, and a name by which reviews tell agents apart.

    A number of threads that was set stays: other agents, started apart, may have the rest of the machine.
    """
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // agents))
    return {"OMP_NUM_THREADS": threads, "WANDB_JOB_TYPE": f"agent-{number}"}


def _agent_process(path: str, number: int, tickets: Tickets, log: Path | None) -> None:
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # a terminal's Ctrl-C is for the parent, which passes it on once
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab", buffering=0) as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    threading.excepthook = _ignore_finalizers
    import torch

    if torch.cuda.device_count() > 1:
        torch.cuda.set_device((number - 1) % torch.cuda.device_count())
    sys.exit(work(path, tickets))


def _ignore_finalizers(args: threading.ExceptHookArgs) -> None:
    """The client forgets to end a helper thread when it leaves a service that is not its own: harmless, but loud."""
    if args.thread is None or args.thread.name != "wandb-ServiceFinalizer":
        threading.__excepthook__(args)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
