"""JSON that clients send and receive. NaN and infinities become words, as in W&B's own API."""

import json
import math
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from mnist_sweep.server.errors import BadRequest

DEPTH_LIMIT = 100
"""How deeply lists and objects may nest, so that whatever was accepted can be read by everything that reads it."""


def _number(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")


def loads(text: str | bytes) -> Any:
    """Parse JSON; NaN and infinities (also `1e999`) become `"NaN"`, `"Infinity"`, `"-Infinity"`.

    Raise ValueError if the text is not JSON, or is nested too deeply.
    """
    too_deep = ValueError(f"it nests more than {DEPTH_LIMIT} deep")
    try:
        value = json.loads(text, parse_constant=str, parse_float=_number)
    except RecursionError:
        raise too_deep from None
    count = text.count(b"[") + text.count(b"{") if isinstance(text, bytes) else text.count("[") + text.count("{")
    if count > DEPTH_LIMIT and _nests_too_deeply(value):
        raise too_deep
    return value


def _nests_too_deeply(value: Any) -> bool:
    level = [value]
    for _ in range(DEPTH_LIMIT):
        outer = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [inner for each in outer for inner in each]
    return any(isinstance(each, dict | list) for each in level)


def stored(text: str | bytes) -> Any:
    """Parse what `dumps` wrote, in a third of `json.loads`'s time; a lone half of a surrogate pair becomes "?".

    Raise ValueError if the text is not JSON.
    """
    try:
        return from_json(text)
    except ValueError:
        return from_json(json.dumps(loads(text), ensure_ascii=False).encode("utf-8", "replace"))


def stored_object(path: Path, limit: int) -> dict[str, Any] | None:
    """Return the JSON object in a file; None if the file has over `limit` bytes or holds anything else."""
    if path.stat().st_size > limit:
        return None
    try:
        found = stored(path.read_bytes())
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def dumps(value: Any) -> str:
    """Return strict JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def as_object(text: str | None, what: str) -> dict[str, Any]:
    """Return the JSON object in a string; `{}` for no text and for `null`.

    Raise BadRequest if the text is not a JSON object; the message names `what`.
    """
    if not text:
        return {}
    try:
        value = loads(text)
    except ValueError as error:
        raise BadRequest(f"{what} is not JSON: {error}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest(f"{what} must be a JSON object, not {type(value).__name__}")
    return value


def client_entry(config: Any) -> dict[str, Any]:
    """Return what the client keeps for itself in a run's configuration, under `_wandb`."""
    entry = config.get("_wandb") if isinstance(config, dict) else None
    value = entry.get("value") if isinstance(entry, dict) else None
    return value if isinstance(value, dict) else {}
