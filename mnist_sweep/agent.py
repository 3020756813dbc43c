"""One agent: `wandb.agent` in a process that stays warm, so that torch, the data and the client are loaded once, not
once a trial. A suggestion over budget gives its place back.
"""

from __future__ import annotations

import sys
import time
from typing import Protocol

from mnist_sweep import cluster
from mnist_sweep.signals import Preempted, Terminated

INVALID_LIMIT = 3
"""An agent gives up after this many failed runs in a row."""

OVER_BUDGET_LIMIT = 100
"""… or after this many suggestions over budget in a row."""

KEPT = "stopped: what was logged so far is kept"

TIME_MARGIN = 1.2
"""An agent with a time limit wants this many times what its longest trial took before it begins another."""


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


def work(path: str, tickets: Tickets) -> int:
    """Work on the sweep `path` (entity/project/id) until its tickets or the sweep itself run out, or a signal ends it.

    As a task of a cluster it leaves while there is time for no further trial, judged by the longest one so far.

    Returns:
        The exit code: 0, 1 after INVALID_LIMIT failed runs or OVER_BUDGET_LIMIT refused suggestions in a row, 70 if
        those runs were a task's and failed for the node's sake, else as `stopped` says; 75, too, if out of time.
    """
    from mnist_sweep.train import signals

    try:
        with signals.handled():
            return _work(path, tickets)
    except (KeyboardInterrupt, Terminated, Preempted) as stop:
        return stopped(stop)


def stopped(stop: BaseException) -> int:
    """The exit code of what such a signal ended: 130 if that was a person, 75 if there is more to do."""
    again = isinstance(stop, Preempted) or (isinstance(stop, Terminated) and cluster.taken_back())
    return cluster.EXIT_PREEMPTED if again else 130


def _work(path: str, tickets: Tickets) -> int:
    import wandb

    from mnist_sweep.train import Outcome, signals, train

    failed = refused = 0
    longest = 0.0
    while tickets.acquire(block=False):
        outcomes: list[Outcome | BaseException] = []

        def trial(outcomes: list[Outcome | BaseException] = outcomes) -> None:
            """What the client calls, in a thread of its own; that thread cannot tell this one but by `outcomes`."""
            try:
                with signals.elsewhere():
                    try:
                        outcomes.append(train())
                    except Exception as error:
                        outcomes[:] = [error]
            except (KeyboardInterrupt, Terminated, Preempted) as stop:
                outcomes[:] = [stop]
                words = "preempted: another start goes on from here" if isinstance(stop, Preempted) else KEPT
                print(words, file=sys.stderr)
            except Exception as stop:  # the server's, too late
                outcomes[:] = [stop]
            if isinstance(outcomes[0], Exception):
                if not _stopped(outcomes[0]):
                    raise outcomes[0]  # for the client to print
                print(KEPT, file=sys.stderr)

        started = time.monotonic()
        wandb.agent(path, function=trial, count=1)
        longest = max(longest, time.monotonic() - started)
        if not outcomes:
            return 130 if signals.struck else 0  # the sweep is over
        outcome = outcomes[-1]
        if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
            raise outcome
        failed = failed + 1 if isinstance(outcome, Exception) and not _stopped(outcome) else 0
        refused = refused + 1 if isinstance(outcome, Outcome) and not outcome.feasible else 0
        if refused:
            tickets.release()
        if failed >= INVALID_LIMIT:
            print(_gives_up(failed, outcome), file=sys.stderr)
            return 1 if cluster.task() is None or getattr(outcome, "theirs", False) else cluster.EXIT_GIVEN_BACK
        if refused >= OVER_BUDGET_LIMIT:
            print(f"error: {refused} suggestions in a row were over budget: narrow the widths", file=sys.stderr)
            return 1
        left = cluster.seconds_left()
        if left is not None and left < longest * TIME_MARGIN:
            print(f"{left:.0f} s left are too few for a trial of {longest:.0f} s: this task begins again", flush=True)
            return cluster.EXIT_PREEMPTED
    return 0


def _stopped(outcome: BaseException) -> bool:
    """Whether the server ended the trial: it tells the run, and the client throws a bare exception into its thread."""
    from mnist_sweep.train import Stopped

    return isinstance(outcome, Stopped) or (type(outcome) is Exception and not outcome.args)


def _gives_up(failed: int, last: object) -> str:
    from mnist_sweep.train import FailedRunError

    if isinstance(last, FailedRunError) and cluster.task() is None:
        return f"error: {failed} runs in a row failed: run `mnist-sweep check` on the sweep file"
    reason = f"{type(last).__name__}: {last}".splitlines()[0]
    return f"error: {failed} runs in a row failed on {cluster.node()}, which this agent leaves; the last: {reason}"
