"""`mnist-sweep sweep`: create or resume a sweep, train its trials and rank them."""

from __future__ import annotations

import argparse
from pathlib import Path

from mnist_sweep.commands.arguments import MAX_AGENTS, add_count, whole_number
from mnist_sweep.commands.console import sweep_file
from mnist_sweep.commands.local_agents import work
from mnist_sweep.config import PROJECT

HELP = "create or resume a sweep, train its trials and rank them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="FILE", help="a sweep file, or the id of a sweep to resume")
    add_count(parser)
    parser.add_argument(
        "--agents", type=whole_number(MAX_AGENTS), default=1, metavar="N", help="trials side by side [1]"
    )


def run(arguments: argparse.Namespace) -> int:
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
