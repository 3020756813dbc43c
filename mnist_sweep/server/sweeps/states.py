"""Name what a sweep or a run is doing, for people.

W&B's states do not tell whether anybody works on a sweep or whether a run waits for an agent. The API keeps W&B's
states; pages show these.
"""

import sqlite3
from dataclasses import dataclass
from enum import StrEnum

from mnist_sweep import search
from mnist_sweep.server.store import runs, sweeps
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.rows import Run, Sweep

AGENT_SILENCE = 30.0
"""Seconds without a heartbeat after which an agent no longer counts as working. It sends one every 5 seconds."""


class RunStatus(StrEnum):
    """What a run is doing."""

    QUEUED = "queued"
    """It waits for an agent."""
    STARTING = "starting"
    """An agent has received it and its program has not reported yet."""
    RUNNING = "running"
    STOPPING = "stopping"
    """It was asked to stop, or is being preempted, and its program has not ended yet."""
    FINISHED = "finished"
    FAILED = "failed"
    CRASHED = "crashed"
    KILLED = "killed"
    PREEMPTED = "preempted"
    """It ended before its work was done and waits to be resumed."""


class SweepStatus(StrEnum):
    """What a sweep is doing."""

    PENDING = "pending"
    """No agent has joined yet."""
    RUNNING = "running"
    IDLE = "idle"
    """It hands out trials, but no agent works on it."""
    PAUSING = "pausing"
    """It hands out no trials, and some are still running."""
    PAUSED = "paused"
    STOPPING = "stopping"
    """It has ended, and some of its trials are still running."""
    STOPPED = "stopped"
    """A person ended it before its last trial."""
    FINISHED = "finished"
    CANCELED = "canceled"


@dataclass(frozen=True, kw_only=True)
class SweepProgress:
    """A sweep's status and how far it is."""

    status: SweepStatus
    trials: int
    """Trials handed out or queued."""
    active: int
    """Trials that an agent has received and that have not ended."""
    queued: int
    """Trials that wait for an agent."""
    expected: int | None
    """Trials that the sweep will have, if that is known."""

    @property
    def text(self) -> str:
        """The status with the numbers that explain it, such as `paused at 3 of 9 trials`."""
        count = f"{self.trials} of {self.expected}" if self.expected is not None else f"{self.trials}"
        if self.status in (SweepStatus.PAUSED, SweepStatus.STOPPED, SweepStatus.IDLE):
            return f"{self.status} at {count} trials"
        if self.status in (SweepStatus.PAUSING, SweepStatus.STOPPING):
            return f"{self.status}, {self.active} running"
        return str(self.status)


def run_status(run: Run) -> RunStatus:
    """Return what a run is doing."""
    state: str = run.state
    if state in runs.ALIVE and (run.stop_requested or state == "preempting"):
        return RunStatus.STOPPING
    if state == "pending":
        return RunStatus.QUEUED if run.agent_id is None else RunStatus.STARTING
    return RunStatus(state)


def sweep_progress(db: sqlite3.Connection, sweep: Sweep) -> SweepProgress:
    """Return what a sweep is doing."""
    active, queued = runs.count_unfinished(db, sweep.id)
    trials, expected = sweeps.trial_count(db, sweep.id), expected_trials(sweep)
    return SweepProgress(
        status=_sweep_status(db, sweep, active, queued, complete=expected is None or trials >= expected),
        trials=trials,
        active=active,
        queued=queued,
        expected=expected,
    )


def _sweep_status(db: sqlite3.Connection, sweep: Sweep, active: int, queued: int, *, complete: bool) -> SweepStatus:
    match sweep.state:
        case "PAUSED":
            return SweepStatus.PAUSING if active else SweepStatus.PAUSED
        case "CANCELED":
            return SweepStatus.STOPPING if active else SweepStatus.CANCELED
        case "FINISHED" if sweep.exhausted and (active or queued):
            return SweepStatus.RUNNING  # a scheduler has queued the last trials
        case "FINISHED":
            ended = SweepStatus.FINISHED if sweep.exhausted or complete else SweepStatus.STOPPED
            return SweepStatus.STOPPING if active else ended
        case "PENDING":
            return SweepStatus.PENDING
        case _:
            working = active or sweeps.any_agent_since(db, sweep.id, now(seconds_ago=AGENT_SILENCE))
            return SweepStatus.RUNNING if working else SweepStatus.IDLE


def expected_trials(sweep: Sweep) -> int | None:
    """Return how many trials the sweep will have, or None if that is unknown."""
    config = sweeps.parse_config(sweep.config)
    return min((bound for bound in (search.grid_size(config), config.run_cap) if bound is not None), default=None)
