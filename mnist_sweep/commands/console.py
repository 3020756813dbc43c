"""What the commands say to people."""

from __future__ import annotations

import math
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_sweep.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from mnist_sweep.sweep.file import Check


def say(line: str) -> None:
    print(line, file=sys.stderr)


def write(file: Path, text: str) -> None:
    """Write a file in UTF-8, with its folder; for its owner alone where others may write in that, too.

    Raises:
        UserError: that cannot be done.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.parent.stat().st_mode & stat.S_IWOTH and not file.exists():
            file.touch(mode=0o600)
        file.write_text(text, "utf-8")
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror}") from None


def report_check(path: Path, found: Check, console: Console) -> None:
    """Print the warnings about a sweep file, and how much of its space fits the budget.

    Raises:
        SweepFileError: the file has problems.
    """
    from mnist_sweep.sweep.file import SweepFileError

    if found.problems:
        raise SweepFileError("\n       ".join(f"{path}: {problem}" for problem in found.problems))
    for warning in found.warnings:
        console.print(f"{path}: warning: {warning}", highlight=False, markup=False, soft_wrap=True)
    if math.isnan(found.feasible):
        console.print(f"{path}: valid; its scheduler decides what is tried", highlight=False, soft_wrap=True)
        return
    space = f"grid of {found.points} points" if found.points is not None else "search space"
    line = f"{path}: valid; {found.feasible:.0%} of its {space} is under {found.limit:,} parameters"
    console.print(line, highlight=False, soft_wrap=True)


def sweep_file(path: Path, console: Console) -> dict[str, Any] | None:
    """What a sweep file says; None for what is the id of a sweep.

    Raises:
        SweepFileError: it says nothing that agents could work on by themselves.
    """
    from mnist_sweep.sweep import file

    if not (path.exists() or path.suffix in (".yaml", ".yml")):
        return None
    config = file.load(path)
    report_check(path, file.check(config), console)
    if config["method"] == "custom":
        # agents alone would wait for ever
        raise file.SweepFileError(f"{path}: needs `wandb sweep-scheduler` beside its agents: its first lines say how")
    return config
