"""Agents of a sweep on this machine, shown while they train."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_sweep.connection.waiting import ServerUnavailable
from mnist_sweep.signals import Signals

if TYPE_CHECKING:
    from rich.console import Console

    from mnist_sweep.agents.pool import AgentPool
    from mnist_sweep.connection.waiting import RetryPolicy
    from mnist_sweep.sweep.remote import Sweep

stoppable = Signals({signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: KeyboardInterrupt})
"""Agents are ended by SIGTERM as by Ctrl-C, and never while they are being started."""


def work(created: Sweep, count: int | None, agents: int, console: Console, patience: RetryPolicy) -> int:
    """Let `agents` agents train `count` trials of a sweep (None: all it has), in view; returns an exit code.

    Raises:
        Away: the server stays away; the agents have been ended.
    """
    from mnist_sweep.agents.pool import AgentPool
    from mnist_sweep.sweep import live_view

    logs = agent_logs(created.path)
    team: AgentPool | None = None
    try:
        with stoppable.handled():
            with stoppable.deferred(raise_on_exit=False):
                console.print(f"Sweep {created.path}: {created.url}", highlight=False, soft_wrap=True)
                team = AgentPool(
                    created.path, agents=agents, count=count, log=lambda number: logs / f"agent-{number}.log"
                )
            stoppable.raise_pending()
            live_view.follow(created, team, count, console, patience)
    except KeyboardInterrupt:
        if team is None:
            raise
        console.print("Stopping: the running trials finish their upload …")
        team.stop(patience.url)
        return 130
    except ServerUnavailable as away:
        if team is not None:
            team.stop(patience.url)
        raise ServerUnavailable(
            f"{away}: ended; what was trained is on the server or in {logs.parent.absolute()} (`wandb sync` sends it); "
            f"go on with: mnist-sweep sweep {created.path}"
        ) from None
    if team.failed:
        console.print(f"An agent gave up; its output is in {logs}", style="red", highlight=False, soft_wrap=True)
        return 1
    return 0


def agent_logs(sweep: str) -> Path:
    """Folder of what a sweep's agents print."""
    return Path(os.environ.get("WANDB_DIR", ".")) / "wandb" / f"agents-{sweep.split('/')[-1]}"
