"""JSON as it comes in and goes out: numbers that JSON does not have become words, as W&B's own API writes them."""

import json
import math
from typing import Any

from pydantic_core import from_json


def _number(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")


def loads(text: str | bytes) -> Any:
    """Parse JSON; NaN and infinities (also `1e999`) come back as `"NaN"`, `"Infinity"`, `"-Infinity"`.

    Raises:
        ValueError: not JSON, or nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=str, parse_float=_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def stored(text: str | bytes) -> Any:
    """Parse what `dumps` wrote, in a third of `json.loads`'s time; half of a surrogate pair alone becomes "?".

    Raises:
        ValueError: not JSON.
    """
    try:
        return from_json(text)
    except ValueError:
        return from_json(json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8", "replace"))


def dumps(value: Any) -> str:
    """Strict JSON, as short as it gets."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def as_object(text: str | None, what: str) -> dict[str, Any]:
    """The JSON object in a string; `{}` for none.

    Raises:
        ValueError: not a JSON object; the message names `what`.
    """
    if not text:
        return {}
    try:
        value = loads(text)
    except ValueError as error:
        raise ValueError(f"{what} is not JSON: {error}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be a JSON object, not {type(value).__name__}")
    return value


def client_entry(config: Any) -> dict[str, Any]:
    """What the client keeps for itself in a run's configuration, under `_wandb`."""
    entry = config.get("_wandb") if isinstance(config, dict) else None
    value = entry.get("value") if isinstance(entry, dict) else None
    return value if isinstance(value, dict) else {}
