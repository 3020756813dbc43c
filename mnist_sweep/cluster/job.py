"""What a job is, whichever scheduler it is for."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mnist_sweep.environment import TRUST
from mnist_sweep.errors import UserError

STAGGER_SECONDS = 30
"""Tasks that begin together ask for their first trial one second after another, over so long at most."""


VARIABLES = "variables.sh"
"""In the folder that says how to reach the server."""


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
    """Where their logs are, and what says how to reach the server."""
    tasks: int = 1
    cpus: int = 1
    """Of each task, as are the GPUs and the time."""
    gpus: int = 0
    agents_per_gpu: int = 1
    memory: str | None = None
    """As Slurm writes it: `4G`, in units of 1,024; None is the cluster's own."""
    setup: Sequence[str] = ()
    """Lines of shell before the agent begins."""
    time: str | None = None
    """As Slurm writes it: `90` minutes, `2:30:00`, `1-12`; None is the partition's own."""

    @property
    def name(self) -> str:
        """What the scheduler calls the job; by it all jobs of a sweep are found again."""
        return f"sweep-{self.sweep.split('/')[-1]}"

    @property
    def server(self) -> Path:
        """The folder that says how to reach the server, with its key, for the owner alone."""
        return self.output / "server"

    @property
    def arguments(self) -> tuple[str, ...]:
        """The agent's part of a task's command line."""
        return ("agent", self.sweep, *(("--agents-per-gpu", str(self.agents_per_gpu)) if self.gpus else ()))


def write_server(folder: Path, variables: Mapping[str, str], seen_as: Path | None = None) -> None:
    """Write what a task needs to reach a server to a folder that nobody but its owner can read at any time.

    Args:
        folder: gets `variables.sh`, for a shell to read, and the certificates it names: a server's own folder is on a
            disk of its own, which no node sees.
        variables: the address, the key, whom to trust.
        seen_as: what the tasks call the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    told = dict(variables)
    for name in TRUST:
        if name in told and Path(told[name]).is_file():
            shutil.copy(told[name], folder / f"{name}.pem")
            told[name] = str((seen_as or folder) / f"{name}.pem")
    fresh = folder / "variables.new"
    fresh.touch(mode=0o600)
    fresh.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in told.items()))
    fresh.replace(folder / VARIABLES)


def render(template: str, **values: Any) -> str:
    """What a template beside this module becomes with these values; its filter `quote` is a shell's."""
    files = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, keep_trailing_newline=True
    )
    files.filters["quote"] = lambda value: shlex.quote(str(value))
    return files.get_template(template).render(values)
