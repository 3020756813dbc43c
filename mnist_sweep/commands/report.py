"""`mnist-sweep report`: review a sweep as a W&B report, an HTML page and a summary."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_sweep.commands.arguments import add_sweep
from mnist_sweep.commands.console import say, write
from mnist_sweep.config import PROJECT

if TYPE_CHECKING:
    from mnist_sweep.review.page import Gallery

HELP = "review a sweep: a W&B report, an HTML page, a summary in the terminal"
EXAMPLE = "mnist-sweep report local/mnist-sweep/1a2b3c4d --html review.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_sweep(parser)
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one self-contained page that opens from disk")
    parser.add_argument("--random", metavar="SWEEP", help="a random search over the same space to compare with")


def run(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from mnist_sweep.connection import connect
    from mnist_sweep.review import page, terminal, wandb_report
    from mnist_sweep.selection import finals
    from mnist_sweep.sweep import live_view, remote

    console = Console(highlight=False, soft_wrap=True)
    with connect.connected_server(say) as server:
        sweep = remote.find(arguments.sweep, PROJECT)
        other = remote.fetch_ranking(remote.find(arguments.random, PROJECT)) if arguments.random else None
        review = remote.fetch_review(sweep, random=other, samples=sweep.held_out_images)
        if sweep.runs_train and (best := review.ranking.best):
            confirm = f"mnist-sweep confirm {finals.finals_id(sweep.path)} --seeds=20"
            commands = (live_view.best_command(best.record), f"mnist-sweep finals {sweep.path}", confirm)
            review = replace(review, commands=commands)
        console.print(terminal.summary(review))
        if arguments.html is not None:
            write(arguments.html, page.html_page(review, _augmentation() if sweep.runs_train else None))
            console.print(f"Page:    {arguments.html}")
        console.print(f"Report:  {wandb_report.publish(review)}")
        if server.local:
            console.print(f"Sweep:   {sweep.url}")
    return 0


def _augmentation() -> Gallery:
    """Return a gallery of digits at several strengths of the augmentation policy."""
    from mnist_sweep.review.page import Gallery
    from mnist_sweep.training import augment, mnist

    digits = mnist.selection_split().train.images[:10]
    strengths = {f"strength {s:g}": augment.strip(digits, s) for s in (0.0, 0.5, 1.0, 1.5)}
    note = "The same training digits at four strengths of the augmentation policy."
    return Gallery("What augmentation does", note, strengths)
