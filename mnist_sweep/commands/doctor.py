"""`mnist-sweep doctor`: check this machine."""

import argparse
import sys

from mnist_sweep.commands.console import say

HELP = "check this machine: packages, folders, data, device, arithmetic, speed, server"
EXAMPLE = "mnist-sweep doctor --fetch"
_SUBJECT_WIDTH = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fetch", action="store_true", help="download MNIST first if it is missing, without asking")


def run(arguments: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from mnist_sweep.commands import doctor_checks

    _offer_mnist(fetch=arguments.fetch)
    console, failed = Console(), False
    with console.status("starting …") as status:
        for result in doctor_checks.examine(on_start=lambda subject: status.update(f"checking {subject} …")):
            failed |= result.failed
            row = Table.grid(padding=(0, 1), expand=True)
            for width in (1, _SUBJECT_WIDTH):
                row.add_column(width=width, no_wrap=True)
            row.add_column(ratio=1, overflow="fold")
            lines = [escape(result.found), f"[red]{escape(result.advice)}[/]" if result.failed else ""]
            mark = "[red]✗[/]" if result.failed else "[green]✓[/]"
            row.add_row(mark, result.subject, "\n".join(filter(None, lines)))
            console.print(row)
    return int(failed)


def _offer_mnist(*, fetch: bool) -> None:
    """Download MNIST if it is missing and the user wants it."""
    from mnist_sweep.training import mnist

    if not mnist.missing():
        return
    if not fetch and sys.stdin.isatty() and sys.stdout.isatty():
        answer = input(f"MNIST is not in {mnist.data_folder()}. Download it now? [Y/n] ")
        fetch = answer.strip().lower() in ("", "y", "yes")
    if fetch:
        mnist.fetch(say)
