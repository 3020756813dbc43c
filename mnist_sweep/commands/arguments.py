"""Argument types and arguments that several commands share."""

import argparse
from collections.abc import Callable

MAX_TRIALS = 1_000_000


def add_sweep(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names an existing sweep."""
    parser.add_argument("sweep", metavar="SWEEP", help="id, project/id or entity/project/id")


def add_count(parser: argparse.ArgumentParser) -> None:
    """Add `--count`, which limits the trials of local agents."""
    text = "number of trials, not counting those over the parameter limit [until the sweep ends]"
    add_number(parser, "--count", MAX_TRIALS, text)


def add_agents(parser: argparse.ArgumentParser, what: str = "trials", *, per_gpu: bool = False) -> None:
    """Add `--agents`, the number of `what` side by side, and what changes it."""
    group = parser.add_mutually_exclusive_group()
    add_number(group, "--agents", 256, f"{what} side by side, limited by cores and free memory [1]", default=1)
    if per_gpu:
        add_number(group, "--agents-per-gpu", 64, "agents for each GPU in CUDA_VISIBLE_DEVICES")
    parser.add_argument("--oversubscribe", action="store_true", help="do not limit --agents by cores and free memory")


def add_number(
    parser: argparse._ActionsContainer, name: str, limit: int, help: str, default: int | None = None
) -> None:
    """Add an option that takes a whole number from 1 to `limit`."""
    parser.add_argument(name, type=whole_number(limit), default=default, metavar="N", help=help)


def whole_number(limit: int) -> Callable[[str], int]:
    """Return an argument type for whole numbers from 1 to `limit`."""

    def number(text: str) -> int:
        if not (text.isdecimal() and len(text) <= len(str(limit)) and 1 <= int(text) <= limit):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {limit:,}")
        return int(text)

    return number
