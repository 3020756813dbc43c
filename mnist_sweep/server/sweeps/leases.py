"""Decide which process may write to a run.

An agent may name its task in a header of all its requests. `X-Sweep-Task: slurm-812_3.1/2` is agent 1 of task 3 of job
812, in that task's third start. A trial is leased to the task that received it, and only that task may write to the
run. The lease ends with the trial, when the agent falls silent, or when the same task asks again: its earlier process
is then gone, or is an orphan whose requests are refused.
"""

import re
from dataclasses import dataclass

_FORM = re.compile(r"([\w.:@-]{1,200})/(\d{1,18})", re.ASCII)


@dataclass(frozen=True)
class Task:
    """A task of a cluster's job, and how often it was restarted."""

    name: str
    restart: int

    def __str__(self) -> str:
        return f"{self.name}/{self.restart}"


def parse(header: str | None) -> Task | None:
    """Return the task that a header names, or None if there is no valid header."""
    found = _FORM.fullmatch(header or "")
    return None if found is None else Task(found[1], int(found[2]))


def may_write(header: str | None, holder: str | None, revoked: bool = False) -> bool:
    """Return whether a request with this header may write to a run.

    Args:
        header: the request's header, if it has one.
        holder: the task that was given the run; anyone may write to a run that no task was given.
        revoked: the holder is gone, and nobody may write until the run is handed out again.
    """
    return holder is None or (header == holder and not revoked)
