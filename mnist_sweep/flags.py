"""Command-line flags made from the fields of RunConfig."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Literal, NoReturn, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from mnist_sweep.config import RunConfig

_SYMBOLS = {Ge: "from {}", Gt: "above {}", Le: "to {}", Lt: "below {}"}


class Parser(argparse.ArgumentParser):
    """An argument parser that takes no abbreviation for a flag, and whose errors are one line."""

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


def add(parser: argparse.ArgumentParser) -> None:
    """One `--field VALUE` for every field, with its description, range and default."""
    group = parser.add_argument_group("run configuration")
    for name, field in RunConfig.model_fields.items():
        spellings = [f"--{name}"] + ([f"--{name.replace('_', '-')}"] if "_" in name else [])
        default = "" if field.default is None else f" [{field.default}]"
        text = f"{field.description} ({allowed(field)}){default}".replace("%", "%%")
        if field.annotation is bool:
            # `wandb agent` passes --flag=True; people type --flag
            group.add_argument(*spellings, nargs="?", const="true", metavar="true|false", help=text, default=None)
        else:
            group.add_argument(*spellings, metavar=_metavar(field), help=text, default=None)


def given(arguments: argparse.Namespace) -> dict[str, Any]:
    """The fields that were set on the command line; numbers as numbers, so that W&B records them as such."""
    found: dict[str, Any] = {}
    for name, field in RunConfig.model_fields.items():
        text = getattr(arguments, name, None)
        if text is not None:
            found[name] = _read(field, text)
    return found


def allowed(field: FieldInfo) -> str:
    """The values a field takes, in words: `from 0 to 0.5`, `tiny, step1, …`."""
    choices = _choices(field)
    if choices:
        return ", ".join(choices)
    if field.annotation is bool:
        return "true or false"
    limits = [item for item in field.metadata if type(item) in _SYMBOLS]
    limits.sort(key=lambda item: list(_SYMBOLS).index(type(item)))
    words = [_SYMBOLS[type(item)].format(f"{_bound(item):,.10g}") for item in limits]
    kind = "whole number" if field.annotation is int else ""
    return " ".join([kind, *words]).strip() or "text"


def _bound(limit: Any) -> float:
    return float(next(getattr(limit, key) for key in ("ge", "gt", "le", "lt") if hasattr(limit, key)))


def _choices(field: FieldInfo) -> list[str]:
    for kind in (field.annotation, *get_args(field.annotation)):
        if get_origin(kind) is Literal:
            return [str(choice) for choice in get_args(kind)]
    return []


def _metavar(field: FieldInfo) -> str:
    if _choices(field):
        return "NAME"
    if field.annotation is int:
        return "N"
    return "X" if field.annotation is float else "TEXT"


def _read(field: FieldInfo, text: str) -> Any:
    """`text` as the field's type where it can be read so; else as it is, for validation to refuse."""
    if field.annotation is bool:
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(text.lower(), text)
    for kind in (int, float):
        if field.annotation in (int, float) and not (kind is int and field.annotation is float):
            try:
                return kind(text)
            except ValueError:
                continue
    return None if text.lower() == "none" and field.default is None else text
