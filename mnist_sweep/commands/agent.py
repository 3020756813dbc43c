"""`mnist-sweep agent`: train trials of an existing sweep in warm processes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mnist_sweep.commands.arguments import MAX_AGENTS, add_count, add_sweep, whole_number
from mnist_sweep.commands.console import say
from mnist_sweep.commands.local_agents import agent_logs
from mnist_sweep.config import PROJECT
from mnist_sweep.protocol import EXIT_NODE_UNFIT, EXIT_PREEMPTED
from mnist_sweep.signals import STOPS, Signals

if TYPE_CHECKING:
    from mnist_sweep.agents.pool import AgentPool
    from mnist_sweep.connection.waiting import RetryPolicy

HELP = "train trials of an existing sweep in warm processes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_sweep(parser)
    add_count(parser)
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--agents", type=whole_number(MAX_AGENTS), default=1, metavar="N", help="trials side by side [1]"
    )
    group.add_argument(
        "--agents-per-gpu", type=whole_number(64), metavar="N", help="agents for each GPU in CUDA_VISIBLE_DEVICES"
    )


def run(arguments: argparse.Namespace) -> int:
    from mnist_sweep.agents.loop import exit_code_for

    signals = Signals(STOPS)
    try:
        with signals.handled():
            return _agent(arguments, signals)
    except tuple(STOPS.values()) as stop:
        return exit_code_for(stop)  # before there was an agent


def _agent(arguments: argparse.Namespace, signals: Signals) -> int:
    from mnist_sweep.agents import pool
    from mnist_sweep.cluster import task as cluster
    from mnist_sweep.connection import connect
    from mnist_sweep.sweep import remote

    count = pool.agents_for_gpus(arguments.agents_per_gpu) if arguments.agents_per_gpu else arguments.agents
    with connect.connected_server(say) as server:
        found = remote.find(arguments.sweep, PROJECT)
        logs = agent_logs(found.path)
        if count > 1:
            say(f"The agents' output is in {logs}")
        task = cluster.task()
        name = "agent-" if task is None else f"{task.name}."  # tasks may share a folder
        log = (lambda number: logs / f"{name}{number}.log") if count > 1 else None
        with signals.deferred(raise_on_exit=False):
            team = pool.AgentPool(found.path, agents=count, count=arguments.count, log=log)
        stopped = join(team, signals, server.patience(say))
        team.close()
        if team.preempted:
            return EXIT_PREEMPTED
        if team.node_unfit:
            return EXIT_NODE_UNFIT
        return 130 if stopped else int(team.failed)


def join(team: AgentPool, signals: Signals, patience: RetryPolicy) -> bool:
    """Wait for agents and pass on to them what should stop them; whether there was such a signal."""
    stopped = False
    while True:
        try:
            signals.raise_pending()
            team.join(patience)
            return stopped
        except tuple(STOPS.values()) as stop:
            stopped = True
            team.send(next(number for number, error in STOPS.items() if isinstance(stop, error)))
