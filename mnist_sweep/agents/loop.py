"""The loop of one agent: ask a sweep for a trial, train it, repeat.

All trials run in one process, so that torch, the images and W&B's client are loaded once. A trial over budget does not
count.

`wandb.agent` does the same, with two differences that matter here. It trains in a thread, which no signal reaches. And
its thread for requests ends at the first one that is not answered, after which it waits forever. This loop sends the
same requests and waits until its server answers.
"""

import time
import traceback
from contextlib import suppress
from typing import Protocol

from mnist_sweep.agents.client import AgentClient, TrialAssignment
from mnist_sweep.cluster import task
from mnist_sweep.connection.waiting import ServerUnavailable, to_stderr
from mnist_sweep.environment import environment
from mnist_sweep.errors import FAILED, INTERRUPTED, UserError, first_line
from mnist_sweep.protocol import EXIT_NODE_UNFIT, EXIT_PREEMPTED
from mnist_sweep.signals import Preempted, Terminated, will_resume

INVALID_LIMIT = 3
"""Number of failed runs in a row after which an agent gives up."""

OVER_BUDGET_LIMIT = 100
"""Number of trials over budget in a row after which an agent gives up."""

STOPPED_MESSAGE = "stopped: what was logged so far is kept"

TIME_MARGIN = 1.2
"""An agent starts another trial only if this multiple of its longest trial fits into the remaining time."""


class TrialQuota(Protocol):
    """How many trials may still start. Several processes may share one quota."""

    def acquire(self, block: bool = ...) -> bool: ...

    def release(self) -> None: ...


class UnlimitedQuota:
    """A quota without a limit: the sweep decides when it is over."""

    def acquire(self, block: bool = True) -> bool:
        return True

    def release(self) -> None:
        pass


def run_agent(path: str, quota: TrialQuota) -> int:
    """Train trials of the sweep `path` (entity/project/id) until the quota or the sweep is exhausted.

    A task of a cluster also stops if its remaining time is too short for another trial, judged by the longest so far.

    Returns:
        The exit code:

        - 0: there is nothing left to do;
        - 1: INVALID_LIMIT runs failed or OVER_BUDGET_LIMIT trials were over budget in a row, or the server stays away;
        - 70: the failed runs belong to a task of a cluster and did not fail because of their configuration;
        - 75: the task's time is nearly up, or it was preempted;
        - 130: a person stopped the agent.
    """
    from mnist_sweep.train import run_signals

    try:
        with run_signals.handled():
            return _run_agent(path, quota)
    except (KeyboardInterrupt, Terminated, Preempted) as stop:
        code = exit_code_for(stop)
        to_stderr("preempted: another start resumes from here" if code == EXIT_PREEMPTED else STOPPED_MESSAGE)
        return code
    except UserError as error:
        to_stderr(f"error: {error}")
        return FAILED


def exit_code_for(stop: BaseException) -> int:
    """Return the exit code of a process that a signal ended: 130 if a person sent it, 75 if the work should resume."""
    return EXIT_PREEMPTED if will_resume(stop) else INTERRUPTED


def _run_agent(path: str, quota: TrialQuota) -> int:
    from mnist_sweep.train import run_signals

    failed = refused = 0
    longest = 0.0
    client = AgentClient(path)
    while quota.acquire(block=False):
        trial = client.next()
        if trial is None:
            return 0  # the sweep is over
        started = time.monotonic()
        print(f"Trial {trial.run}: {trial.as_text}", flush=True)
        outcome = _train_trial(client, trial)
        run_signals.raise_pending()  # one that came while the run was ending
        longest = max(longest, time.monotonic() - started)
        failed = failed + 1 if isinstance(outcome, Exception) else 0
        refused = refused + 1 if outcome is False else 0
        if refused:
            quota.release()
        if failed >= INVALID_LIMIT:
            to_stderr(_giving_up_message(failed, outcome))
            config_error = getattr(outcome, "config_error", False)
            return FAILED if task.task() is None or config_error else EXIT_NODE_UNFIT
        if refused >= OVER_BUDGET_LIMIT:
            to_stderr(f"error: {refused} trials in a row were over budget: narrow the ranges of the widths")
            return FAILED
        left = task.seconds_left()
        if left is not None and not enough_time_left(left, longest):
            print(f"{left:.0f} s are too short for a trial of {longest:.0f} s: requeueing this task", flush=True)
            return EXIT_PREEMPTED
    return 0


def enough_time_left(left: float, longest: float) -> bool:
    """Return whether a trial of `longest` seconds can finish before a task with `left` seconds is warned."""
    return left - task.WARNING_SECONDS >= longest * TIME_MARGIN


def _train_trial(client: AgentClient, trial: TrialAssignment) -> bool | Exception:
    """Train one trial. Return whether it was within the budget, or the exception with which it failed."""
    import wandb

    from mnist_sweep.train import Stopped, run_signals, train

    try:
        with environment(trial.environment()), client.heartbeating(trial, stop=lambda: run_signals.request(Stopped)):
            return train().feasible
    except Stopped:
        to_stderr(STOPPED_MESSAGE)
        return True
    except ServerUnavailable:
        raise
    except UserError as error:
        return error  # train() has printed it
    except (OSError, wandb.errors.Error) as error:
        to_stderr(f"error: {first_line(error)}")
        return error
    except Exception as error:
        traceback.print_exc()
        return error
    finally:
        with suppress(Exception):  # the client's service may have been killed
            wandb.teardown()  # so that the next run reads its own environment
        run_signals.cancel(Stopped)


def _giving_up_message(failed: int, last: object) -> str:
    from mnist_sweep.train import FailedRunError

    if isinstance(last, FailedRunError) and task.task() is None:
        return f"error: {failed} runs in a row failed: run `mnist-sweep check` on the sweep file"
    reason = f"{type(last).__name__}: {last}".splitlines()[0]
    return f"error: {failed} runs in a row failed on {task.node()}, so this agent stops here; the last: {reason}"
