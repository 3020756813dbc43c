"""Commands about a sweep: run it, work on it, review it."""

from __future__ import annotations

import argparse
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_sweep.commands.speech import report_check, say, write
from mnist_sweep.config import PROJECT
from mnist_sweep.patience import Away
from mnist_sweep.signals import STOPS, Signals

if TYPE_CHECKING:
    from rich.console import Console

    from mnist_sweep.agents import Agents, Sweep
    from mnist_sweep.patience import Patience

stoppable = Signals({signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: KeyboardInterrupt})
"""Agents are ended by SIGTERM as by Ctrl-C, and never while they are being started."""


def sweep(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from mnist_sweep import agents, connect, live

    console = Console()

    def said(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    config = sweep_file(Path(arguments.sweep), console)
    from mnist_sweep.training import mnist  # torch is imported only once the file is known to be good

    mnist.fetch(said)
    with connect.server(said) as server:
        found = agents.create(config, PROJECT) if config is not None else agents.find(arguments.sweep, PROJECT)
        limits = [limit for limit in (arguments.count, config and config.get("run_cap")) if limit]
        patience = server.patience(said)
        code = work(found, min(limits, default=None), arguments.agents, console, patience)
        live.conclude(found, console, patience)
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
    from mnist_sweep import sweepfile

    if not (path.exists() or path.suffix in (".yaml", ".yml")):
        return None
    config = sweepfile.load(path)
    report_check(path, sweepfile.check(config), console)
    if config["method"] == "custom":
        # agents alone would wait for ever
        raise sweepfile.SweepFileError(
            f"{path}: needs `wandb sweep-scheduler` beside its agents: its first lines say how"
        )
    return config


def work(created: Sweep, count: int | None, agents: int, console: Console, patience: Patience) -> int:
    """Let `agents` agents train `count` trials of a sweep (None: all it has), in view; returns an exit code.

    Raises:
        Away: the server stays away; the agents have been ended.
    """
    from mnist_sweep import live
    from mnist_sweep.agents import Agents

    logs = agent_logs(created.path)
    team: Agents | None = None
    try:
        with stoppable.handled():
            with stoppable.held(last=True):
                console.print(f"Sweep {created.path}: {created.url}", highlight=False, soft_wrap=True)
                team = Agents(created.path, agents=agents, count=count, log=lambda number: logs / f"agent-{number}.log")
            stoppable.strike()
            live.follow(created, team, count, console, patience)
    except KeyboardInterrupt:
        if team is None:
            raise
        console.print("Stopping: the running trials finish their upload …")
        team.stop(patience.url)
        return 130
    except Away as away:
        if team is not None:
            team.stop(patience.url)
        raise Away(
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
    from mnist_sweep.agent import stopped

    signals = Signals(STOPS)
    try:
        with signals.handled():
            return _agent(arguments, signals)
    except tuple(STOPS.values()) as stop:
        return stopped(stop)  # before there was an agent


def _agent(arguments: argparse.Namespace, signals: Signals) -> int:
    from mnist_sweep import agents, cluster, connect

    count = agents.for_gpus(arguments.agents_per_gpu) if arguments.agents_per_gpu else arguments.agents
    with connect.server(say) as server:
        found = agents.find(arguments.sweep, PROJECT)
        logs = agent_logs(found.path)
        if count > 1:
            say(f"The agents' output is in {logs}")
        task = cluster.task()
        name = "agent-" if task is None else f"{task.name}."  # tasks may share a folder
        log = (lambda number: logs / f"{name}{number}.log") if count > 1 else None
        with signals.held(last=True):
            team = agents.Agents(found.path, agents=count, count=arguments.count, log=log)
        stopped = join(team, signals, server.patience(say))
        team.close()
        if team.preempted:
            return cluster.EXIT_PREEMPTED
        if team.misplaced:
            return cluster.EXIT_GIVEN_BACK
        return 130 if stopped else int(team.failed)


def join(team: Agents, signals: Signals, patience: Patience) -> bool:
    """Wait for agents and pass on to them what should stop them; whether there was such a signal."""
    stopped = False
    while True:
        try:
            signals.strike()
            team.join(patience)
            return stopped
        except tuple(STOPS.values()) as stop:
            stopped = True
            team.send(next(number for number, error in STOPS.items() if isinstance(stop, error)))


def report(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from mnist_sweep import agents, connect, finals, live
    from mnist_sweep.review import page, terminal, wandb_report
    from mnist_sweep.training import augment, mnist

    console = Console(highlight=False, soft_wrap=True)
    with connect.server(say) as server:
        found = agents.find(arguments.sweep, PROJECT)
        other = agents.poll(agents.find(arguments.random, PROJECT)) if arguments.random else None
        review = agents.read(found, random=other, samples=mnist.VALIDATION_IMAGES)
        if best := review.ranking.best:
            confirm = f"mnist-sweep confirm {finals.title(found.path)} --seeds=20"
            chain = (f"mnist-sweep finals {found.path}", confirm)
            review = replace(review, commands=(live.best_command(best.record), *chain))
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
