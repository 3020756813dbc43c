"""The text of a sweep's configuration, as its page shows it."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

_ORDER = (
    "name", "description", "project", "entity", "program", "command", "method", "metric", "parameters",
    "early_terminate", "run_cap", "goal", "distribution", "value", "values", "min", "max",
)  # fmt: skip
"""The usual order of a configuration's keys. Other keys follow in the order of the text."""


def readable(text: str) -> str:
    """Return a configuration's text in the order of its author, or, if that is lost, in the usual order.

    `wandb sweep` sends the keys sorted by the alphabet. Any other order is the author's, and stays.
    """
    try:
        config = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text
    if not isinstance(config, dict) or yaml.safe_dump(config, sort_keys=True).strip() != text.strip():
        return text
    return yaml.safe_dump(_arranged(config), sort_keys=False, allow_unicode=True, width=118)


def _arranged(node: Any) -> Any:
    if isinstance(node, Mapping):
        names = sorted(node, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))
        return {name: _arranged(node[name]) if name != "parameters" else _parameters(node[name]) for name in names}
    if isinstance(node, Sequence) and not isinstance(node, str):
        return [_arranged(entry) for entry in node]
    return node


def _parameters(node: Any) -> Any:
    """Keep the order of parameters, whose names may be any, `name` and `min` among them."""
    return {name: _arranged(spec) for name, spec in node.items()} if isinstance(node, Mapping) else node
