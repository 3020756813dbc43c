"""What a cluster's scheduler says to this process: which task it is, how often it began, and why it is being ended.

Slurm says it in its environment and through `squeue`. On Kubernetes a manifest has to name the job in
`MNIST_SWEEP_KUBERNETES_JOB`, and should the node in `MNIST_SWEEP_NODE` and say in `MNIST_SWEEP_CPUS` how many it gives.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from dataclasses import dataclass
from itertools import takewhile

from mnist_sweep.errors import FAILED, UserError
from mnist_sweep.protocol import EXIT_NODE_UNFIT

WARNING_SECONDS = 60
"""How long before its time is up a task is warned, so that its trial can send its rows and its checkpoint."""

_ANSWER_SECONDS = 5.0


@dataclass(frozen=True)
class Task:
    """One task of a job on a cluster."""

    name: str
    """The same however often the task begins: `slurm-812_3`."""
    restart: int
    """Greater each time that it begins."""
    job: str
    """What the scheduler calls it."""


def task() -> Task | None:
    """The task that this process is part of; None outside of a cluster."""
    env = os.environ
    if job := env.get("SLURM_JOB_ID"):
        if "SLURM_ARRAY_TASK_ID" in env:  # one task of an array has the array's own number, which means all of them
            job = f"{env.get('SLURM_ARRAY_JOB_ID', job)}_{env['SLURM_ARRAY_TASK_ID']}"
        return Task(f"slurm-{job}", _whole(env.get("SLURM_RESTART_COUNT")), job)
    if job := env.get("MNIST_SWEEP_KUBERNETES_JOB"):
        # A pod does not know how many there were before it: the later one has the later time.
        return Task(f"kubernetes-{job}-{env.get('JOB_COMPLETION_INDEX', '0')}", _STARTED, job)
    return None


class NodeError(UserError, RuntimeError):
    """This machine is not fit for the work; the message is one line for people."""

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """Of a task's: another node may be fit for it."""
        return FAILED if task() is None else EXIT_NODE_UNFIT


def node() -> str:
    """The name by which the scheduler knows this machine."""
    return os.environ.get("SLURMD_NODENAME") or os.environ.get("MNIST_SWEEP_NODE") or socket.gethostname()


def taken_back() -> bool:
    """Whether the scheduler, having asked this process to end, will begin its task again: no after `scancel`.

    Slurm calls a job that it ends COMPLETING, whether that was cancelled or requeued; the latter's next start counts
    already. One that is still RUNNING has been warned.
    """
    found = task()
    if found is None:
        return False
    if not found.name.startswith("slurm-"):
        return True
    shown = _ask("scontrol", "show", "job", "--oneliner", found.job)
    state, restarts = (re.search(rf"\b{name}=(\w+)", shown) for name in ("JobState", "Restarts"))
    if state is None or restarts is None or state[1] not in ("COMPLETING", "CANCELLED"):
        return True
    return int(restarts[1]) > found.restart


def seconds_left() -> float | None:
    """How long this task may still run; None where nobody limits or tells it."""
    found = task()
    if found is None or not found.name.startswith("slurm-"):
        return None
    return _seconds(_ask("squeue", "--noheader", "--states=all", f"--jobs={found.job}", "--format=%L"))


def gpus() -> list[str] | None:
    """The GPUs that a scheduler, or a person, left this process, as CUDA_VISIBLE_DEVICES names them; None: all.

    CUDA takes no notice of what follows a name it cannot read, such as the `-1` that means none at all.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return None
    names = [name.strip() for name in named.split(",")]
    return list(takewhile(lambda name: re.fullmatch(r"\d+|(GPU|MIG)-[\w/-]+", name), names))


def cores() -> int:
    """How many cores this process may use: a scheduler may have given it some of the machine's only.

    Not every cluster binds a task to its cores, and a pod sees all of its machine's, whatever its share of their time.
    """
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = _whole(os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("MNIST_SWEEP_CPUS"))
    return min(seen, given or seen)


def _ask(*command: str) -> str:
    """The first line of what Slurm answers; nothing where it does not."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().split("\n")[0]


def _seconds(text: str) -> float | None:
    """Slurm's `1-02:03:04`, `02:03:04` or `03:04` in seconds; None for `UNLIMITED` and the like."""
    days, _, clock = text.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdigit() for part in (*parts, days or "0")):
        return None
    seconds = 0
    for part in parts:
        seconds = 60 * seconds + int(part)
    return float(86_400 * int(days or 0) + seconds)


def _whole(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() else 0


_STARTED = int(time.time())
