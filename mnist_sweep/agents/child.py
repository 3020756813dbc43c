"""The process of one agent: its environment, what it runs, and how it ends with its parent."""

import json
import multiprocessing
import os
import secrets
import signal
import socket
import sys
import threading
import time
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from mnist_sweep.agents.loop import TrialQuota, run_agent
from mnist_sweep.cluster import task as cluster
from mnist_sweep.protocol import TASK_HEADER

_HEADERS_VARIABLE = "WANDB_X_EXTRA_HTTP_HEADERS"
_POOL_ID = secrets.token_hex(4)


def child_environment(number: int, agents: int, restart: int = 0) -> dict[str, str | None]:
    """Return the environment of agent `number` of `agents`: its share of the machine, and its name for the server.

    A thread count that the user set stays: agents that were started separately may need the other cores.
    """
    task = cluster.task() or cluster.Task(f"{socket.gethostname()}-{_POOL_ID}", restart, "")
    headers = json.loads(os.environ.get(_HEADERS_VARIABLE) or "{}")
    headers[TASK_HEADER] = f"{task.name}.{number}/{task.restart}"
    environment: dict[str, str | None] = {
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or str(max(1, cluster.cores() // agents)),
        "WANDB_JOB_TYPE": f"{task.name}.{number}" if task.job else f"agent-{number}",
        "WANDB_SERVICE": None,
        _HEADERS_VARIABLE: json.dumps(headers),
    }
    if devices := cluster.gpus():
        environment["CUDA_VISIBLE_DEVICES"] = devices[(number - 1) % len(devices)]
    return environment


def run_child(path: str, number: int, quota: TrialQuota, log: Path | None) -> None:
    """Run agent `number` of the sweep `path` in this process, which a pool started. Exit with the agent's code.

    `log` receives the output; None leaves it where it goes.
    """
    own_process_group()
    if log is not None:
        with log.open("ab", buffering=0) as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    end_with_parent(signal.SIGUSR1)  # another start resumes the trial
    threading.excepthook = _ignore_service_finalizer
    import torch

    if torch.cuda.device_count() > 1:
        torch.cuda.set_device((number - 1) % torch.cuda.device_count())
    sys.exit(run_agent(path, quota))


def own_process_group() -> None:
    """Leave the terminal's process group: the parent receives its Ctrl-C and passes it on once."""
    os.setpgrp()


def end_with_parent(number: signal.Signals, unwanted: Connection | None = None) -> None:
    """Send this process a signal as soon as its parent has ended, killed or not.

    Args:
        number: the signal, one of `signals.STOPS`.
        unwanted: a connection whose other end only the parent has. If the parent closes it, this process ends as well.
            The signal is then repeated every second: the first ends a training, a later one the process.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("only a process that multiprocessing started has a parent to end with")
    sources: list[Any] = [parent.sentinel, *([unwanted] if unwanted is not None else [])]

    def watch() -> None:
        wait(sources)
        os.kill(os.getpid(), number)
        while unwanted is not None:
            time.sleep(1)
            os.kill(os.getpid(), number)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def _ignore_service_finalizer(args: threading.ExceptHookArgs) -> None:
    """Hide the traceback of a harmless thread that the client does not end when it leaves another process's service."""
    if args.thread is None or args.thread.name != "wandb-ServiceFinalizer":
        threading.__excepthook__(args)
