"""`mnist-sweep doctor`: check this machine."""

from __future__ import annotations

import argparse

HELP = "check this machine: packages, folders, data, device, arithmetic, speed, server"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the command has no arguments."""


def run(arguments: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from mnist_sweep.commands.doctor_checks import examine

    console, failed = Console(), False
    table = Table(show_header=False)
    with console.status("looking at this machine …"):
        for finding in examine():
            failed |= finding.failed
            lines = [escape(finding.found), f"[red]{escape(finding.advice)}[/]" if finding.failed else ""]
            mark = "[red]✗[/]" if finding.failed else "[green]✓[/]"
            table.add_row(mark, finding.subject, "\n".join(filter(None, lines)))
    console.print(table)
    return int(failed)
