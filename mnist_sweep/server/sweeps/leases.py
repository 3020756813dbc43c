"""Who speaks: an agent may say, in a header of all its requests, which task of which job it is and which restart of it.

`X-Sweep-Task: slurm-812_3.1/2` is the agent 1 of task 3 of job 812, which has begun for the third time. Its trial is
lent to it, and nobody else's word counts for that run. The loan ends with the trial, with the silence of the agent, or
when the same task asks again: then whoever held it before is gone, or is an orphan that shall not be heard any more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORM = re.compile(r"([\w.:@-]{1,200})/(\d{1,18})", re.ASCII)


@dataclass(frozen=True)
class Task:
    """A task as it says who it is."""

    name: str
    restart: int

    def __str__(self) -> str:
        return f"{self.name}/{self.restart}"


def parse(header: str | None) -> Task | None:
    """The task that a header names; None without one, or for what is none."""
    found = _FORM.fullmatch(header or "")
    return None if found is None else Task(found[1], int(found[2]))


def may_write(header: str | None, holder: str | None) -> bool:
    """Whether a request with this header may write to a run that `holder` was given: whoever gave no name may."""
    return holder is None or header == holder
