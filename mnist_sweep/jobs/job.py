"""What a job is, whichever scheduler it is for."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mnist_sweep.errors import UserError

WARNING_SECONDS = 60
"""How long before its time is up a task is told, so that its trial can send its rows and its checkpoint."""

STAGGER_SECONDS = 30
"""Tasks that begin together ask for their first trial one second after another, over so long at most."""


class JobError(UserError, RuntimeError):
    """A job that could not be handed over; the message is one line for people."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Agents of one sweep, side by side in the tasks of one job."""

    sweep: str
    """entity/project/id, or the id alone."""
    folder: Path
    """Where the tasks work."""
    output: Path
    """Where their logs are, and the file that says how to reach the server."""
    tasks: int = 1
    cpus: int = 1
    """Of each task, as are the GPUs and the time."""
    gpus: int = 0
    agents_per_gpu: int = 1
    time: str | None = None
    """As Slurm writes it: `90` minutes, `2:30:00`, `1-12`; None is the partition's own."""

    @property
    def name(self) -> str:
        """What the scheduler calls the job; by it all jobs of a sweep are found again."""
        return f"sweep-{self.sweep.split('/')[-1]}"

    @property
    def server_file(self) -> Path:
        """The variables that say how to reach the server, with its key, for the owner alone."""
        return self.output / "server.env"

    @property
    def arguments(self) -> tuple[str, ...]:
        """The agent's part of a task's command line."""
        return ("agent", self.sweep, *(("--agents-per-gpu", str(self.agents_per_gpu)) if self.gpus else ()))


def write_private(file: Path, variables: Mapping[str, str]) -> None:
    """Write variables, for a shell to read, to a file that nobody but its owner can read at any time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items()))
    fresh.replace(file)
