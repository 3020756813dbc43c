"""One agent's process: its environment and what it runs. It ends when its parent does."""

from __future__ import annotations

import json
import multiprocessing
import os
import secrets
import signal
import socket
import sys
import threading
from pathlib import Path

from mnist_sweep.agents.loop import TrialQuota, run_agent
from mnist_sweep.cluster import task as cluster
from mnist_sweep.connection import connect
from mnist_sweep.protocol import TASK_HEADER


def child_environment(number: int, agents: int, restart: int = 0) -> dict[str, str | None]:
    """Environment of agent `number`: its part of the machine, and names by which reviews and the server know it.

    A number of threads that was set stays: other agents, started apart, may have the rest of the machine.
    """
    task = cluster.task() or cluster.Task(f"{socket.gethostname()}-{_OURS}", restart, "")
    headers = json.loads(os.environ.get(_HEADERS) or "{}") | {TASK_HEADER: f"{task.name}.{number}/{task.restart}"}
    share: dict[str, str | None] = {
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or str(max(1, cluster.cores() // agents)),
        "WANDB_JOB_TYPE": f"agent-{number}" if not task.job else f"{task.name}.{number}",
        "WANDB_SERVICE": None,
        _HEADERS: json.dumps(headers),
    }
    devices = cluster.gpus()
    if devices:
        share["CUDA_VISIBLE_DEVICES"] = devices[(number - 1) % len(devices)]
    return share


_HEADERS = "WANDB_X_EXTRA_HTTP_HEADERS"
_OURS = secrets.token_hex(4)


def run_child(path: str, number: int, tickets: TrialQuota, log: Path | None) -> None:
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # a terminal's Ctrl-C is for the parent, which passes it on once
    if log is not None:
        with log.open("ab", buffering=0) as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    threading.excepthook = _ignore_client
    import torch

    if torch.cuda.device_count() > 1:
        torch.cuda.set_device((number - 1) % torch.cuda.device_count())
    with connect.keep_server_alive():
        sys.exit(run_agent(path, tickets))


def _end_with_parent() -> None:
    """Stop once nobody is there any more who would say so; what is at work is for another start to go on with."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM if sys.platform == "win32" else signal.SIGUSR1)


def _ignore_client(args: threading.ExceptHookArgs) -> None:
    """A helper that the client forgets to end when it leaves a service that is not its own is harmless, but loud."""
    if args.thread is None or args.thread.name != "wandb-ServiceFinalizer":
        threading.__excepthook__(args)
