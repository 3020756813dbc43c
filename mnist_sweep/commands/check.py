"""`mnist-sweep check`: check sweep files before they are used."""

import argparse
import sys
from pathlib import Path

from mnist_sweep.commands.console import check_exists, report_check, sweep_path

HELP = "check sweep files before they are used"
EXAMPLE = "mnist-sweep check my.yaml onecycle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="sweep files, or names of packaged ones")


def run(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from mnist_sweep.sweep import file

    console, failed = Console(), False
    for name in arguments.files:
        path = sweep_path(name) or Path(name)
        try:
            check_exists(path)
            report_check(path, file.check(file.load(path)), console)
        except file.SweepFileError as error:
            print(f"error: {error}", file=sys.stderr)
            failed = True
    return int(failed)
