"""A job for Slurm: its batch script, how it is handed over, and what has become of it."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from mnist_sweep.cluster.job import STAGGER_SECONDS, VARIABLES, Job, JobError, render
from mnist_sweep.cluster.task import WARNING_SECONDS

ASK_SECONDS = 5.0
"""How often Slurm is asked what has become of a job; its controller serves a whole cluster."""

_OURS_ALONE = ("WANDB_API_KEY", "MNIST_SWEEP_SERVER_KEY", "WANDB_SERVICE")
"""Slurm keeps the environment that a job is to have, so keys go by a file; the client's service is on this machine."""


def script(
    job: Job, program: Path, *, partition: str | None = None, account: str | None = None, more: Sequence[str] = ()
) -> str:
    """The batch script of an array of tasks.

    Args:
        job: what it is to do.
        program: `mnist-sweep`, as the nodes find it.
        partition: Slurm's partition; None is its default one.
        account: whom Slurm charges; None is the user's own.
        more: options of sbatch, as they are.
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
        "--output": shlex.quote(f"{job.output}".replace("%", "%%") + "/slurm-%A_%a.log"),
        "--open-mode": "append",
        "--signal": f"B:USR1@{WARNING_SECONDS}",
    }
    lines = [f"{name}={value}" for name, value in options.items() if value is not None]
    return render(
        "slurm.sh",
        job=job,
        options=[*lines, "--requeue", *more],
        variables=job.server / VARIABLES,
        command=shlex.join([str(program), *job.arguments]),
        stagger=STAGGER_SECONDS,
    )


def submit(script: Path, environment: Mapping[str, str]) -> str:
    """Hand a batch script over; returns the job's number. Raises JobError with Slurm's reason.

    Args:
        script: its file.
        environment: the person's own, of which the job gets what is no secret.
    """
    given = {name: value for name, value in environment.items() if name not in _OURS_ALONE}
    return _slurm("sbatch", "--parsable", str(script), env=given).partition(";")[0]


class Queue:
    """The jobs of one name, as Slurm lists them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._asked = -ASK_SECONDS
        self._alive = True
        self.note = ""
        """How many tasks run and how many wait, and for what."""

    def tend(self) -> bool:
        """Whether any of its tasks runs or waits; asks Slurm where the last answer is old."""
        if time.monotonic() < self._asked + ASK_SECONDS:
            return self._alive
        self._asked = time.monotonic()
        try:
            listed = _slurm("squeue", "--noheader", "--array", f"--name={self._name}", "--format=%T %r")
        except JobError as error:
            self.note = str(error)  # its controller may be starting again
            return self._alive
        tasks = [line.split(maxsplit=1) for line in listed.splitlines()]
        self._alive = bool(tasks)
        waiting = [" ".join(reason) for state, *reason in tasks if state == "PENDING"]
        self.note = f"{len(tasks) - len(waiting)} tasks run"
        if waiting:
            reasons = ", ".join(reason for reason, _ in Counter(waiting).most_common())
            self.note += f", {len(waiting)} wait ({reasons})"
        return self._alive


def _slurm(*command: str, env: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        raise JobError(f"there is no {command[0]} here: run this where Slurm's commands are") from None
    except subprocess.TimeoutExpired:
        raise JobError(f"{command[0]} has not answered for a minute") from None
    if done.returncode:
        reason = done.stderr.strip().splitlines()
        raise JobError(f"{command[0]} refused: {reason[-1] if reason else done.returncode}")
    return done.stdout.strip()
