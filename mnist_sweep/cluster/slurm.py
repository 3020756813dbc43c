"""A job for Slurm: its batch script, its submission, and the state of its tasks."""

import shlex
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from mnist_sweep.cluster.job import STAGGER_SECONDS, VARIABLES, Job, JobError, render
from mnist_sweep.cluster.task import WARNING_SECONDS
from mnist_sweep.protocol import EXIT_NODE_UNFIT, EXIT_PREEMPTED

ASK_SECONDS = 5.0
"""How often Slurm is asked about a job. Its controller serves a whole cluster."""

_PRIVATE = ("WANDB_API_KEY", "MNIST_SWEEP_SERVER_KEY", "WANDB_SERVICE")
"""Variables that a job does not receive: Slurm stores its environment, and the client's service is on this machine."""


def script(
    job: Job,
    program: Path,
    *,
    partition: str | None = None,
    account: str | None = None,
    more: Sequence[str] = (),
) -> str:
    """Return the batch script of an array of tasks.

    Args:
        job: the job.
        program: the path of `mnist-sweep` on the nodes.
        partition: Slurm's partition; None is the default one.
        account: the account to charge; None is the user's default.
        more: further options of sbatch, unchanged.

    Raises:
        JobError: a value contains a control character, which would become a line of the script.
    """
    options = {
        "--job-name": job.name,
        "--array": f"0-{job.tasks - 1}",
        "--partition": partition,
        "--account": account,
        "--time": job.time,
        "--nodes": 1,
        "--ntasks": 1,
        "--cpus-per-task": job.cpus,
        "--mem": job.memory,
        "--gres": f"gpu:{job.gpus}" if job.gpus else None,
        "--output": f"{job.output}".replace("%", "%%") + "/slurm-%A_%a.log",
        "--open-mode": "append",
        "--signal": f"B:USR1@{WARNING_SECONDS}",
    }
    lines = [f"{name}={shlex.quote(str(value))}" for name, value in options.items() if value is not None]
    return render(
        "slurm.sh",
        job=job,
        options=[*lines, "--requeue", *more],
        variables=job.server / VARIABLES,
        command=shlex.join([str(program), *job.arguments]),
        stagger=STAGGER_SECONDS,
        preempted=EXIT_PREEMPTED,
        unfit=EXIT_NODE_UNFIT,
    )


def submit(script: Path, environment: Mapping[str, str]) -> str:
    """Submit a batch script and return the job's number.

    Args:
        script: the script's file.
        environment: the user's variables, which the job receives unless they are secret.

    Raises:
        JobError: Slurm refused the job; the message has its reason.
    """
    given = {name: value for name, value in environment.items() if name not in _PRIVATE}
    return _slurm("sbatch", "--parsable", str(script), env=given).partition(";")[0]


class Queue:
    """The tasks of all jobs with one name, as Slurm lists them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._asked = -ASK_SECONDS
        self._alive = True
        self.note = ""
        """How many tasks run, how many wait, and why they wait."""

    def update(self) -> None:
        """Ask Slurm for the tasks if its last answer is older than ASK_SECONDS."""
        if time.monotonic() < self._asked + ASK_SECONDS:
            return
        self._asked = time.monotonic()
        try:
            listed = _slurm("squeue", "--noheader", "--array", f"--name={self._name}", "--format=%T %r")
        except JobError as error:
            self.note = str(error)  # its controller may be restarting
            return
        tasks = [line.split(maxsplit=1) for line in listed.splitlines()]
        self._alive = bool(tasks)
        waiting = [" ".join(reason) for state, *reason in tasks if state == "PENDING"]
        self.note = f"{len(tasks) - len(waiting)} tasks run"
        if waiting:
            reasons = ", ".join(reason for reason, _ in Counter(waiting).most_common())
            self.note += f", {len(waiting)} wait ({reasons})"

    def any_alive(self) -> bool:
        """Return whether any task runs or waits, by Slurm's last answer."""
        return self._alive


def _slurm(*command: str, env: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        raise JobError(f"{command[0]} was not found: run this on a machine with Slurm's commands") from None
    except subprocess.TimeoutExpired:
        raise JobError(f"{command[0]} has not answered for a minute") from None
    if done.returncode:
        reason = done.stderr.strip().splitlines()
        raise JobError(f"{command[0]} refused: {reason[-1] if reason else done.returncode}")
    return done.stdout.strip()
