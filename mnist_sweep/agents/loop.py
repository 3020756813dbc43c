"""One agent: it asks a sweep for trials and trains them in one warm process, so that torch, the data and the client are
loaded once, not once a trial. A suggestion over budget gives its place back.

`wandb.agent` does the same, but trains in a thread that no signal reaches, and the thread in which it asks ends at the
first question that is not answered; it then waits for ever. This one asks the same questions and waits for its server.
"""

from __future__ import annotations

import time
import traceback
from contextlib import suppress
from typing import Protocol

from mnist_sweep.agents.client import AgentClient, TrialAssignment
from mnist_sweep.cluster import task
from mnist_sweep.connection.waiting import ServerUnavailable, to_stderr
from mnist_sweep.environment import environment
from mnist_sweep.errors import UserError, first_line
from mnist_sweep.protocol import EXIT_NODE_UNFIT, EXIT_PREEMPTED
from mnist_sweep.signals import Preempted, Terminated

INVALID_LIMIT = 3
"""An agent gives up after this many failed runs in a row."""

OVER_BUDGET_LIMIT = 100
"""… or after this many suggestions over budget in a row."""

STOPPED_MESSAGE = "stopped: what was logged so far is kept"

TIME_MARGIN = 1.2
"""An agent with a time limit wants this many times what its longest trial took before it begins another."""


class TrialQuota(Protocol):
    """How many trials may still start; one may be shared by several processes."""

    def acquire(self, block: bool = ...) -> bool: ...

    def release(self) -> None: ...


class UnlimitedQuota:
    """Tickets without end: the sweep itself says when it is over."""

    def acquire(self, block: bool = True) -> bool:
        return True

    def release(self) -> None:
        pass


def run_agent(path: str, tickets: TrialQuota) -> int:
    """Work on the sweep `path` (entity/project/id) until its tickets or the sweep itself run out, or a signal ends it.

    As a task of a cluster it leaves while there is time for no further trial, judged by the longest one so far.

    Returns:
        The exit code: 0; 1 after INVALID_LIMIT failed runs or OVER_BUDGET_LIMIT refused suggestions in a row, or where
        the server stays away; 70 if those runs were a task's and failed for the node's sake; else as `stopped` says;
        75, too, if out of time.
    """
    from mnist_sweep.train import signals

    try:
        with signals.handled():
            return _run_agent(path, tickets)
    except (KeyboardInterrupt, Terminated, Preempted) as stop:
        code = exit_code_for(stop)
        to_stderr("preempted: another start goes on from here" if code == EXIT_PREEMPTED else STOPPED_MESSAGE)
        return code
    except UserError as error:
        to_stderr(f"error: {error}")
        return 1


def exit_code_for(stop: BaseException) -> int:
    """The exit code of what such a signal ended: 130 if that was a person, 75 if there is more to do."""
    again = isinstance(stop, Preempted) or (isinstance(stop, Terminated) and task.taken_back())
    return EXIT_PREEMPTED if again else 130


def _run_agent(path: str, tickets: TrialQuota) -> int:
    from mnist_sweep.train import signals

    failed = refused = 0
    longest = 0.0
    orders = AgentClient(path)
    while tickets.acquire(block=False):
        order = orders.next()
        if order is None:
            return 0  # the sweep is over
        started = time.monotonic()
        print(f"Trial {order.run}: {order.as_text}", flush=True)
        trained = _trial(orders, order)
        signals.raise_pending()  # one that came while the run was ending
        longest = max(longest, time.monotonic() - started)
        failed = failed + 1 if isinstance(trained, Exception) else 0
        refused = refused + 1 if trained is False else 0
        if refused:
            tickets.release()
        if failed >= INVALID_LIMIT:
            to_stderr(_giving_up_message(failed, trained))
            return 1 if task.task() is None or getattr(trained, "theirs", False) else EXIT_NODE_UNFIT
        if refused >= OVER_BUDGET_LIMIT:
            to_stderr(f"error: {refused} suggestions in a row were over budget: narrow the widths")
            return 1
        left = task.seconds_left()
        if left is not None and not enough_time_left(left, longest):
            print(f"{left:.0f} s left are too few for a trial of {longest:.0f} s: this task begins again", flush=True)
            return EXIT_PREEMPTED
    return 0


def enough_time_left(left: float, longest: float) -> bool:
    """Whether a task with so many seconds left can end a trial before it is warned, if the longest took so many."""
    return left - task.WARNING_SECONDS >= longest * TIME_MARGIN


def _trial(orders: AgentClient, order: TrialAssignment) -> bool | Exception:
    """Train one trial; whether it was within the budget, or why it failed."""
    import wandb

    from mnist_sweep.train import Stopped, signals, train

    try:
        with environment(order.environment()), orders.heartbeating(order, stop=lambda: signals.request(Stopped)):
            return train().feasible
    except Stopped:
        to_stderr(STOPPED_MESSAGE)
        return True
    except ServerUnavailable:
        raise
    except UserError as error:
        return error  # which has been said
    except (OSError, wandb.errors.Error) as error:
        to_stderr(f"error: {first_line(error)}")
        return error
    except Exception as error:
        traceback.print_exc()
        return error
    finally:
        with suppress(Exception):  # a client service that was killed
            wandb.teardown()  # what the environment says of the next run is read anew
        signals.cancel(Stopped)


def _giving_up_message(failed: int, last: object) -> str:
    from mnist_sweep.train import FailedRunError

    if isinstance(last, FailedRunError) and task.task() is None:
        return f"error: {failed} runs in a row failed: run `mnist-sweep check` on the sweep file"
    reason = f"{type(last).__name__}: {last}".splitlines()[0]
    return f"error: {failed} runs in a row failed on {task.node()}, which this agent leaves; the last: {reason}"
