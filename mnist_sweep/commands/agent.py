"""`mnist-sweep agent`: train trials of an existing sweep, all trials of an agent in one process."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mnist_sweep.commands.arguments import add_agents, add_count, add_sweep
from mnist_sweep.commands.console import say
from mnist_sweep.commands.local_agents import agent_logs, allowed_agents, trial_limit
from mnist_sweep.config import PROJECT
from mnist_sweep.errors import INTERRUPTED
from mnist_sweep.protocol import EXIT_NODE_UNFIT, EXIT_PREEMPTED
from mnist_sweep.signals import STOPS, Signals

if TYPE_CHECKING:
    from mnist_sweep.agents.pool import AgentPool
    from mnist_sweep.connection.waiting import RetryPolicy

HELP = "train trials of an existing sweep, all trials of an agent in one process"
EXAMPLE = "mnist-sweep agent local/mnist-sweep/1a2b3c4d --agents 2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_sweep(parser)
    add_count(parser)
    add_agents(parser, per_gpu=True)


def run(arguments: argparse.Namespace) -> int:
    from mnist_sweep.agents.loop import exit_code_for

    stop_signals = Signals(STOPS)
    try:
        with stop_signals.handled():
            return _run(arguments, stop_signals)
    except tuple(STOPS.values()) as stop:
        return exit_code_for(stop)  # no agent had been started


def _run(arguments: argparse.Namespace, stop_signals: Signals) -> int:
    from mnist_sweep.agents.pool import AgentPool, agents_for_gpus
    from mnist_sweep.cluster import task as cluster
    from mnist_sweep.connection import connect
    from mnist_sweep.sweep import remote

    on_gpus = agents_for_gpus(arguments.agents_per_gpu) if arguments.agents_per_gpu else None
    with connect.connected_server(say) as server:
        sweep = remote.find(arguments.sweep, PROJECT)
        trials = trial_limit(arguments.count, sweep.config)
        agents = on_gpus or allowed_agents(arguments.agents, trials, say, oversubscribe=arguments.oversubscribe)
        logs = agent_logs(sweep.path)
        if agents > 1:
            say(f"The agents' output is in {logs}")
        task = cluster.task()
        prefix = "agent-" if task is None else f"{task.name}."  # tasks may share a folder
        log = (lambda number: logs / f"{prefix}{number}.log") if agents > 1 else None
        with stop_signals.deferred(raise_on_exit=False):
            pool = AgentPool(sweep.path, agents=agents, count=arguments.count, log=log)
        stopped = join(pool, stop_signals, server.retry_policy(say))
        pool.close()
        if pool.preempted:
            return EXIT_PREEMPTED
        if pool.node_unfit:
            return EXIT_NODE_UNFIT
        return INTERRUPTED if stopped else int(pool.failed)


def join(pool: AgentPool, stop_signals: Signals, retry: RetryPolicy) -> bool:
    """Wait for the agents and pass stop signals on to them. Return whether there was such a signal."""
    stopped = False
    while True:
        try:
            stop_signals.raise_pending()
            pool.join(retry)
            return stopped
        except tuple(STOPS.values()) as stop:
            stopped = True
            pool.send(next(number for number, error in STOPS.items() if isinstance(stop, error)))
