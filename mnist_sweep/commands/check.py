"""`mnist-sweep check`: check sweep files before they are used."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mnist_sweep.commands.console import report_check

HELP = "check sweep files before they are used"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="sweep files")


def run(arguments: argparse.Namespace) -> int:
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
