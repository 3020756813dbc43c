"""Agents of a sweep on this machine, which commands start and show while they train."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_sweep.commands.console import print_sentence
from mnist_sweep.connection.waiting import ServerUnavailable
from mnist_sweep.errors import INTERRUPTED
from mnist_sweep.signals import Signals

if TYPE_CHECKING:
    from rich.console import Console

    from mnist_sweep.agents.pool import AgentPool
    from mnist_sweep.connection.waiting import RetryPolicy
    from mnist_sweep.sweep.remote import Sweep

stop_signals = Signals({signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: KeyboardInterrupt})
"""SIGTERM ends agents as Ctrl-C does. Both wait until all agents have been started."""


def train_trials(
    sweep: Sweep, count: int | None, agents: int, console: Console, retry: RetryPolicy, *, resume: str = ""
) -> int:
    """Train `count` trials of a sweep (None: all it has) with `agents` agents, show them, and return an exit code.

    Args:
        resume: the command that continues what these trials are part of, if it is not the sweep alone.

    Raises:
        ServerUnavailable: the server has not answered for too long. The agents have been stopped.
    """
    from mnist_sweep.agents.pool import AgentPool
    from mnist_sweep.sweep import live_view

    logs = agent_logs(sweep.path)
    pool: AgentPool | None = None
    try:
        with stop_signals.handled():
            with stop_signals.deferred(raise_on_exit=False):
                print_sentence(console, f"Sweep {sweep.path}: {sweep.url}")
                pool = AgentPool(
                    sweep.path, agents=agents, count=count, log=lambda number: logs / f"agent-{number}.log"
                )
            stop_signals.raise_pending()
            live_view.follow(sweep, pool, count, console, retry)
    except KeyboardInterrupt:
        if pool is None:
            raise
        console.print("Stopping: the running trials finish their upload …")
        pool.stop(retry.url)
        return INTERRUPTED
    except ServerUnavailable as error:
        if pool is not None:
            pool.stop(retry.url)
        raise ServerUnavailable(
            f"{error}: stopped; the runs are on the server or in {logs.parent.absolute()} (`wandb sync` sends them); "
            f"resume with: {resume or f'mnist-sweep sweep {sweep.path}'}"
        ) from None
    except BaseException:
        if pool is not None:
            pool.stop(retry.url)  # else this process would wait for them without showing anything
        raise
    if pool.failed:
        console.print(f"An agent gave up; its output is in {logs}", style="red", highlight=False, soft_wrap=True)
        return 1
    return 0


def trial_limit(count: int | None, config: Mapping[str, Any]) -> int | None:
    """Return the smaller one of `count` and the sweep's `run_cap`, which limit the trials; None without either."""
    return min((limit for limit in (count, config.get("run_cap")) if limit), default=None)


def allowed_agents(asked: int, trials: int | None, say: Callable[[str], None], *, oversubscribe: bool = False) -> int:
    """Return how many of the `asked` agents (or training processes) to start, and report a limit in one line.

    Args:
        asked: `--agents`.
        trials: the most trials that can start; None if that is unknown.
        say: receives the line.
        oversubscribe: limit the number by `trials` only, not by cores and free memory.
    """
    from mnist_sweep.agents import pool

    limit = pool.limit_agents(asked, trials, oversubscribe=oversubscribe)
    if limit.reason:
        override = "" if oversubscribe or limit.agents == trials else "; --oversubscribe starts all"
        say(f"Starting {limit.agents} of {asked} agents: {limit.reason}{override}")
    return limit.agents


def agent_logs(sweep: str) -> Path:
    """Return the folder of the output of a sweep's agents."""
    return Path(os.environ.get("WANDB_DIR", ".")) / "wandb" / f"agents-{sweep.split('/')[-1]}"
