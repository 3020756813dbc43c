"""What several commands read and print: messages, output files, sweep files."""

from __future__ import annotations

import math
import stat
import textwrap
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_sweep.config import PROJECT
from mnist_sweep.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from mnist_sweep.sweep.file import Check
    from mnist_sweep.sweep.remote import Sweep

_PACKAGE = Path(__file__).parents[1]
SWEEPS = next((folder for folder in (_PACKAGE / "sweeps", _PACKAGE.parent / "sweeps") if folder.is_dir()), None)
"""The folder of the packaged sweep files. A wheel has it inside the package, a checkout beside it."""


def say(line: str) -> None:
    """Print a message for people to stderr."""
    from rich.console import Console

    print_sentence(Console(stderr=True), line)


def print_sentence(console: Console, line: str) -> None:
    """Print a sentence. A terminal's lines end between words; an address or path that is longer stays whole.

    A command is printed without this, because a copied command must be one line.
    """
    if console.is_terminal:
        line = textwrap.fill(line, console.width, break_long_words=False, break_on_hyphens=False)
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def write(file: Path, text: str) -> None:
    """Write a file in UTF-8 and create its folder. In a folder that others may write to, only the owner can read it.

    Raise UserError if the file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.parent.stat().st_mode & stat.S_IWOTH and not file.exists():
            file.touch(mode=0o600)
        file.write_text(text, "utf-8")
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror}") from None


def sweep_path(text: str) -> Path | None:
    """Return the sweep file that an argument names, or None if it can only be the id of a sweep.

    A file that exists comes first, then a packaged sweep file by its name: `onecycle`.
    """
    path = Path(text)
    if path.is_file():
        return path
    name = path.name.removesuffix(path.suffix) if path.suffix in (".yaml", ".yml") else path.name
    if SWEEPS is not None and text in (name, f"{name}.yaml", f"sweeps/{name}.yaml"):
        packaged = SWEEPS / f"{name}.yaml"
        if packaged.is_file():
            return packaged
    return path if path.suffix in (".yaml", ".yml") or path.exists() else None


def check_exists(path: Path) -> None:
    """Raise SweepFileError if there is no such file. The message suggests one beside it or a packaged one."""
    from mnist_sweep.sweep.file import SweepFileError

    if path.exists():
        return
    beside = {file.stem: str(file) for file in path.parent.glob("*.yaml") if file.exists()}
    near = get_close_matches(path.stem, beside, n=1)
    hint = f"did you mean {beside[near[0]]}?" if near else nearest_packaged(path.stem)
    raise SweepFileError(f"{path}: no such file: " + (hint or f"the packaged ones are {', '.join(_packaged())}"))


def nearest_packaged(name: str) -> str:
    """Return a question that names the packaged sweep file with a name like `name`; empty if there is none."""
    near = get_close_matches(name, _packaged(), n=1)
    return f"did you mean {near[0]}?" if near else ""


def _packaged() -> list[str]:
    return sorted(file.stem for file in SWEEPS.glob("*.yaml")) if SWEEPS is not None else []


def find_sweep(text: str) -> Sweep:
    """Find a sweep by its id, or raise SweepError. The message suggests a packaged file with a similar name."""
    from mnist_sweep.sweep import remote

    try:
        return remote.find(text, PROJECT)
    except remote.SweepError as error:
        raise remote.SweepError(f"{error}; {hint}" if (hint := nearest_packaged(text)) else str(error)) from None


def load_sweep_file(text: str, console: Console) -> dict[str, Any] | None:
    """Load and check the sweep file that an argument names. Return None if the argument is the id of a sweep.

    Raise SweepFileError if the file is invalid, or agents alone cannot work on it.
    """
    from mnist_sweep.sweep import file

    path = sweep_path(text)
    if path is None:
        return None
    check_exists(path)
    config = file.load(path)
    report_check(path, file.check(config), console)
    if config["method"] == "custom":
        # agents alone would wait for ever
        raise file.SweepFileError(f"{path}: needs `wandb sweep-scheduler` beside its agents: its first lines say how")
    return config


def report_check(path: Path, check: Check, console: Console) -> None:
    """Print the warnings about a sweep file, and which share of its space is under the parameter limit.

    Raise SweepFileError if the file is invalid; the message has a line for each problem.
    """
    from mnist_sweep.sweep.file import SweepFileError

    if check.problems:
        raise SweepFileError("\n       ".join(f"{path}: {problem}" for problem in check.problems))
    for warning in check.warnings:
        print_sentence(console, f"{path}: note: {warning}")
    if math.isnan(check.feasible):
        print_sentence(console, f"{path}: valid; its scheduler decides what is tried")
        return
    space = f"grid of {check.points} points" if check.points is not None else "search space"
    print_sentence(
        console, f"{path}: valid; {100 * check.feasible:.0f} % of its {space} is under {check.limit:,} parameters"
    )
