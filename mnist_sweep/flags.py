"""Command-line flags made from the fields of RunConfig."""

import argparse
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from pydantic.fields import FieldInfo

from mnist_sweep.config import FIELD_GROUPS, RunConfig, allowed, literals


class Parser(argparse.ArgumentParser):
    """An argument parser that accepts no abbreviated flags, and whose errors are one line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def parse_known_args(  # type: ignore[override]  # also called for a sub-command, whose flags only it knows
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            near = get_close_matches(unknown[0].split("=")[0], self._option_string_actions, n=1)
            self.error(f"unknown argument {unknown[0]}" + (f": did you mean {near[0]}?" if near else ""))
        return found, unknown

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message} (see {self.prog} --help)\n")


def add(parser: argparse.ArgumentParser, *, without: Collection[str] = ()) -> None:
    """Add one `--field VALUE` for every field, in groups, with its description, range and default.

    Args:
        without: groups to leave out.
    """
    parser.usage = "%(prog)s [options] [--FIELD VALUE …]"  # a list of all fields would fill a screen
    for title, names in FIELD_GROUPS.items():
        if title in without:
            continue
        group = parser.add_argument_group(f"{title} fields")
        for name in names:
            _add_field(group, name, RunConfig.model_fields[name])


def _add_field(group: argparse._ArgumentGroup, name: str, field: FieldInfo) -> None:
    spellings = [f"--{name}"] + ([f"--{name.replace('_', '-')}"] if "_" in name else [])
    default = "" if field.default is None else f"; default {str(field.default).lower()}"
    text = f"{field.description} ({allowed(field)}{default})".replace("%", "%%")
    if field.annotation is bool:
        # `wandb agent` passes --flag=True; people type --flag
        group.add_argument(*spellings, nargs="?", const="true", metavar="true|false", help=text, default=None)
    else:
        group.add_argument(*spellings, metavar=_metavar(field), help=text, default=None)


def given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the fields set on the command line, numbers as numbers, so that W&B records them as such."""
    found: dict[str, Any] = {}
    for name, field in RunConfig.model_fields.items():
        text = getattr(arguments, name, None)
        if text is not None:
            found[name] = _read(field, text)
    return found


def _metavar(field: FieldInfo) -> str:
    if literals(field):
        return "NAME"
    if field.annotation is int:
        return "N"
    return "X" if field.annotation is float else "TEXT"


def _read(field: FieldInfo, text: str) -> Any:
    """Return `text` as the field's type if it can be read as such. Otherwise validation refuses the text itself."""
    if field.annotation is bool:
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(text.lower(), text)
    for kind in (int, float):
        if field.annotation in (int, float) and not (kind is int and field.annotation is float):
            try:
                return kind(text)
            except ValueError:
                continue
    return None if text.lower() == "none" and field.default is None else text
