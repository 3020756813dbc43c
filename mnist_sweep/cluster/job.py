"""A job of agents, independent of the scheduler that runs it."""

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
"""Tasks that start together ask for their first trial one second apart, over this period at most."""

VARIABLES = "variables.sh"
"""The file in a job's server folder that exports how to reach the server."""


class JobError(UserError, RuntimeError):
    """A job could not be submitted. The message is one line for people."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Agents of one sweep, side by side in the tasks of one job."""

    sweep: str
    """entity/project/id, or the id alone."""
    folder: Path
    """The working folder of the tasks."""
    output: Path
    """The folder of their logs and of the server folder."""
    tasks: int = 1
    cpus: int = 1
    """CPUs per task. GPUs, memory and time are per task, too."""
    gpus: int = 0
    agents_per_gpu: int = 1
    memory: str | None = None
    """As Slurm writes it: `4G`, in units of 1,024; None is the cluster's default."""
    setup: Sequence[str] = ()
    """Shell commands before the agent."""
    time: str | None = None
    """As Slurm writes it: `90` minutes, `2:30:00`, `1-12`; None is the partition's default."""

    @property
    def name(self) -> str:
        """The job's name for the scheduler, by which all jobs of a sweep are found."""
        return f"sweep-{self.sweep.split('/')[-1]}"

    @property
    def server(self) -> Path:
        """The folder that says how to reach the server. It holds the key, for its owner only."""
        return self.output / "server"

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments of `mnist-sweep` in a task."""
        return ("agent", self.sweep, *(("--agents-per-gpu", str(self.agents_per_gpu)) if self.gpus else ()))


def write_server(folder: Path, variables: Mapping[str, str], seen_as: Path | None = None) -> None:
    """Write what a task needs to reach a server to a folder that only its owner can read at any time.

    Args:
        folder: receives `variables.sh`, for a shell to read, and the certificates that it names. They are copied
            because the server's own folder is on a local disk, which no node sees.
        variables: the address, the key and the trusted certificates.
        seen_as: the path of the folder for the tasks, if it differs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    exported = dict(variables)
    for name in TRUST:
        if name in exported and Path(exported[name]).is_file():
            shutil.copy(exported[name], folder / f"{name}.pem")
            exported[name] = str((seen_as or folder) / f"{name}.pem")
    fresh = folder / "variables.new"
    fresh.touch(mode=0o600)
    fresh.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in exported.items()))
    fresh.replace(folder / VARIABLES)


def render(template: str, **values: Any) -> str:
    """Return a template of this folder with these values filled in. Its filter `quote` quotes for a shell.

    Raises:
        JobError: a value contains a line break or another control character, which would become a line of the script.
    """
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        finalize=_one_line,
    )
    templates.filters["quote"] = lambda value: shlex.quote(str(value))
    return templates.get_template(template).render(values)


def _one_line(value: Any) -> Any:
    if not str(value).replace("\t", " ").isprintable():
        raise JobError(f"{str(value)!r} contains a line break or another control character: write it as one line")
    return value
