"""Commands that get things ready: check sweep files, the data and the machine, serve the local W&B server."""

from __future__ import annotations

import argparse
import sys

from mnist_sweep.commands.console import report_check, say


def check(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from mnist_sweep.sweep import file

    console, failed = Console(), False
    for path in arguments.files:
        try:
            report_check(path, file.check(file.load(path)), console)
        except file.SweepFileError as error:
            print(f"error: {error}", file=sys.stderr)
            failed = True
    return int(failed)


def data(arguments: argparse.Namespace) -> int:
    from mnist_sweep.training import mnist

    print(f"MNIST is in {mnist.fetch(say)}: four files, checked by SHA-256")
    return 0


def doctor(arguments: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from mnist_sweep.commands.doctor import examine

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


def server(arguments: argparse.Namespace) -> int:
    from mnist_sweep.server.__main__ import main

    names = ("host", "port", "data", "key_file", "entity", "crash_after", "certificate", "private_key")
    values = ((name.replace("_", "-"), getattr(arguments, name)) for name in names)
    given = [f"--{name}={value}" for name, value in values if value is not None]
    return main(given + [f"--{name}" for name in ("env", "self-signed") if getattr(arguments, name.replace("-", "_"))])
