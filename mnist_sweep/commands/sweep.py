"""Commands about a sweep: run it, work on it, review it."""

from __future__ import annotations

import argparse
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_sweep.commands.console import report_check, say, write
from mnist_sweep.config import PROJECT
from mnist_sweep.connection.waiting import ServerUnavailable
from mnist_sweep.signals import STOPS, Signals

if TYPE_CHECKING:
    from rich.console import Console

    from mnist_sweep.agents.pool import AgentPool
    from mnist_sweep.connection.waiting import RetryPolicy
    from mnist_sweep.sweep.remote import Sweep

stoppable = Signals({signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: KeyboardInterrupt})
"""Agents are ended by SIGTERM as by Ctrl-C, and never while they are being started."""


def sweep(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from mnist_sweep.connection import connect
    from mnist_sweep.sweep import live_view, remote

    console = Console()

    def said(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    config = sweep_file(Path(arguments.sweep), console)
    from mnist_sweep.training import mnist  # torch is imported only once the file is known to be good

    mnist.fetch(said)
    with connect.connected_server(said) as server:
        found = remote.create(config, PROJECT) if config is not None else remote.find(arguments.sweep, PROJECT)
        limits = [limit for limit in (arguments.count, config and config.get("run_cap")) if limit]
        patience = server.patience(said)
        code = work(found, min(limits, default=None), arguments.agents, console, patience)
        live_view.conclude(found, console, patience)
        console.print(f"Go on:        mnist-sweep sweep {found.path}", highlight=False, soft_wrap=True)
        console.print(f"Next:         mnist-sweep finals {found.path}", highlight=False, soft_wrap=True)
        if server.shared:
            console.print("The local server ends with its last command; `mnist-sweep server` opens these pages again.")
    return code


def sweep_file(path: Path, console: Console) -> dict[str, Any] | None:
    """What a sweep file says; None for what is the id of a sweep.

    Raises:
        SweepFileError: it says nothing that agents could work on by themselves.
    """
    from mnist_sweep.sweep import file

    if not (path.exists() or path.suffix in (".yaml", ".yml")):
        return None
    config = file.load(path)
    report_check(path, file.check(config), console)
    if config["method"] == "custom":
        # agents alone would wait for ever
        raise file.SweepFileError(f"{path}: needs `wandb sweep-scheduler` beside its agents: its first lines say how")
    return config


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


def agent(arguments: argparse.Namespace) -> int:
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

    count = pool.for_gpus(arguments.agents_per_gpu) if arguments.agents_per_gpu else arguments.agents
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
            return cluster.EXIT_PREEMPTED
        if team.node_unfit:
            return cluster.EXIT_GIVEN_BACK
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


def report(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from mnist_sweep.connection import connect
    from mnist_sweep.review import page, terminal, wandb_report
    from mnist_sweep.selection import finals
    from mnist_sweep.sweep import live_view, remote
    from mnist_sweep.training import augment, mnist

    console = Console(highlight=False, soft_wrap=True)
    with connect.connected_server(say) as server:
        found = remote.find(arguments.sweep, PROJECT)
        other = remote.poll(remote.find(arguments.random, PROJECT)) if arguments.random else None
        review = remote.read(found, random=other, samples=mnist.VALIDATION_IMAGES)
        if best := review.ranking.best:
            confirm = f"mnist-sweep confirm {finals.finals_id(found.path)} --seeds=20"
            chain = (f"mnist-sweep finals {found.path}", confirm)
            review = replace(review, commands=(live_view.best_command(best.record), *chain))
        console.print(terminal.summary(review))
        if arguments.html is not None:
            digits = mnist.selection_split().train.images[:10]
            strengths = {f"strength {s:g}": augment.strip(digits, s) for s in (0.0, 0.5, 1.0, 1.5)}
            note = "The same training digits at four strengths of the augmentation policy."
            gallery = page.Gallery("What augmentation does", note, strengths)
            write(arguments.html, page.html_page(review, gallery))
            console.print(f"Page:    {arguments.html}")
        console.print(f"Report:  {wandb_report.publish(review)}")
        if server.local:
            console.print(f"Sweep:   {found.url}  (the local server draws it on its own page)")
    return 0
