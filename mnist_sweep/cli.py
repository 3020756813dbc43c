"""The command line `mnist-sweep COMMAND …`: builds its parser from `commands` and prints errors as one line."""

import argparse
import importlib.metadata
import io
import signal
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Protocol

from mnist_sweep import flags
from mnist_sweep.commands import agent, check, confirm, data, doctor, finals, report, server, show, submit, sweep, train
from mnist_sweep.errors import FAILED, INTERRUPTED, UserError
from mnist_sweep.signals import Signals


class Command(Protocol):
    """A module of `commands`."""

    HELP: str
    """What the command does, as the list of commands shows it."""
    EXAMPLE: str
    """A command line to start from."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Run the command and return its exit code."""


COMMANDS: Mapping[str, Command] = {
    "sweep": sweep,
    "report": report,
    "agent": agent,
    "submit": submit,
    "finals": finals,
    "train": train,
    "confirm": confirm,
    "show": show,
    "check": check,
    "data": data,
    "doctor": doctor,
    "server": server,
}


class _Parser(flags.Parser):
    """A parser that suggests the command that was meant."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in COMMANDS:
            near = get_close_matches(value, COMMANDS, n=1)
            self.error(f"unknown command {value}: did you mean {near[0]}?" if near else f"unknown command {value}")
        super()._check_value(action, value)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Print errors meant for people as one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that is not UTF-8 lacks some of our characters
    arguments = parser().parse_args(argv)
    try:
        with Signals({signal.SIGTERM: KeyboardInterrupt}).handled():  # what ends on Ctrl-C ends on SIGTERM the same way
            return int(arguments.command(arguments))
    except KeyboardInterrupt as error:
        print(str(error) or "stopped", file=sys.stderr)
        return INTERRUPTED
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except Exception as error:
        line = _explain(error)
        if line is None:
            raise  # a bug, which a traceback helps to find
        print(f"error: {line}", file=sys.stderr)
        return FAILED


def _explain(error: Exception) -> str | None:
    """Return one line about an error of the system or of W&B's client, or None if it is neither."""
    if isinstance(error, OSError) and error.strerror is not None:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    from mnist_sweep.connection.waiting import unanswered

    if unanswered(error):
        return "a request to W&B was not answered in time: the machine is busy, try again"
    return None


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = _Parser(
        prog="mnist-sweep",
        description="Constrained hyperparameter sweeps with Weights & Biases: MNIST, under 10,000 parameters.",
        epilog="Start with:  mnist-sweep sweep onecycle --count 4 --agents 2",
    )
    version = f"%(prog)s {importlib.metadata.version('mnist-sweep')}"
    top.add_argument("--version", action="version", version=version, help="print the version and exit")
    subparsers = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        description = command.HELP[0].upper() + command.HELP[1:] + "."
        subparser = subparsers.add_parser(
            name, help=command.HELP, description=description, epilog=f"Example:  {command.EXAMPLE}"
        )
        command.add_arguments(subparser)
        subparser.set_defaults(command=command.run)
    return top


if __name__ == "__main__":
    sys.exit(main())
