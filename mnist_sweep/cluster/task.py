"""What a cluster's scheduler tells this process: its task, how often that was restarted, and its part of the machine.

Slurm uses environment variables and `squeue`. On Kubernetes, the manifest must name the job in
`MNIST_SWEEP_KUBERNETES_JOB`. It should also name the node in `MNIST_SWEEP_NODE` and the number of CPUs in
`MNIST_SWEEP_CPUS`.
"""

import os
import re
import socket
import subprocess
import time
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from mnist_sweep.errors import FAILED, UserError
from mnist_sweep.protocol import EXIT_NODE_UNFIT

WARNING_SECONDS = 60
"""How long before its time limit a task is warned, so that its trial can send its rows and its checkpoint."""

_ANSWER_SECONDS = 5.0


@dataclass(frozen=True)
class Task:
    """One task of a job on a cluster."""

    name: str
    """The same for all restarts of the task: `slurm-812_3`."""
    restart: int
    """Increases with each restart."""
    job: str
    """The scheduler's name for it; empty for a process that belongs to no cluster."""


def task() -> Task | None:
    """Return the task that this process belongs to, or None outside a cluster."""
    env = os.environ
    if job := env.get("SLURM_JOB_ID"):
        if "SLURM_ARRAY_TASK_ID" in env:  # the number of a task may be the array's own, which means all its tasks
            job = f"{env.get('SLURM_ARRAY_JOB_ID', job)}_{env['SLURM_ARRAY_TASK_ID']}"
        return Task(f"slurm-{job}", _whole(env.get("SLURM_RESTART_COUNT")), job)
    if job := env.get("MNIST_SWEEP_KUBERNETES_JOB"):
        # A pod does not know how many came before it, but a later one starts later.
        return Task(f"kubernetes-{job}-{env.get('JOB_COMPLETION_INDEX', '0')}", _STARTED, job)
    return None


class NodeError(UserError, RuntimeError):
    """This machine cannot do the work. The message is one line for people."""

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """70 in a task of a cluster, so that another node retries it."""
        return FAILED if task() is None else EXIT_NODE_UNFIT


def node() -> str:
    """Return the scheduler's name for this machine."""
    return os.environ.get("SLURMD_NODENAME") or os.environ.get("MNIST_SWEEP_NODE") or socket.gethostname()


def taken_back() -> bool:
    """Return whether the scheduler, which asked this process to end, will restart its task. Not after `scancel`.

    Slurm lists a job that it ends as COMPLETING, cancelled or requeued. If it was requeued, its count of restarts has
    already increased. A job that is still RUNNING was only warned.
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
    """Return how long this task may still run, or None if there is no known limit."""
    found = task()
    if found is None or not found.name.startswith("slurm-"):
        return None
    return _seconds(_ask("squeue", "--noheader", "--states=all", f"--jobs={found.job}", "--format=%L"))


def gpus() -> list[str] | None:
    """Return the GPUs that CUDA_VISIBLE_DEVICES allows this process, or None if it allows all.

    CUDA ignores everything after a name that it cannot read, such as the `-1` that means no GPU at all.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return None
    names = [name.strip() for name in named.split(",")]
    return list(takewhile(lambda name: re.fullmatch(r"\d+|(GPU|MIG)-[\w/-]+", name), names))


def cores() -> int:
    """Return how many cores this process may use, which a scheduler may limit.

    Not every cluster binds a task to its cores. A pod sees all cores of its machine, whatever its share of their time.
    """
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = _whole(os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("MNIST_SWEEP_CPUS"))
    return min(seen, given or seen)


def free_memory() -> int | None:
    """Return how many bytes this process and its children may still use, or None if the system does not say (Linux)."""
    found = re.search(r"MemAvailable:\s*(\d+) kB", _read(Path("/proc/meminfo")))
    if found is None:
        return None
    free = int(found[1]) << 10
    group = Path("/sys/fs/cgroup") / _read(Path("/proc/self/cgroup")).partition("0::/")[2].split("\n")[0]
    limit, used = _read(group / "memory.max").strip(), _read(group / "memory.current").strip()
    cache = re.search(r"^inactive_file (\d+)$", _read(group / "memory.stat"), re.MULTILINE)
    if limit.isdigit() and used.isdigit():
        free = min(free, max(int(limit) - int(used) + (int(cache[1]) if cache else 0), 0))
    return free


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _ask(*command: str) -> str:
    """Return the first line of Slurm's answer, or an empty text without one."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().split("\n")[0]


def _seconds(text: str) -> float | None:
    """Convert Slurm's `1-02:03:04`, `02:03:04` or `03:04` to seconds; return None for `UNLIMITED` and the like."""
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
