"""A stored report's specification, which any client may have written: values of unexpected types are left out."""

from typing import Any

from mnist_sweep.server import wire_json

_MAPPINGS = ("metadata", "panelBankSectionConfig", "layout", "config", "project", "sort", "key")
_TEXTS = ("entityName", "name", "section", "accessor")
_NUMBERS = ("x", "y", "w", "h")
_LISTS: dict[str, type] = {
    "blocks": dict, "runSets": dict, "panels": dict, "keys": dict, "columns": dict, "children": dict, "metrics": str,
    "mediaKeys": str,
}  # fmt: skip
"""Keys whose values are lists, and the type of the entries."""


def blocks(spec: str) -> list[dict[str, Any]]:
    """Return the blocks of a specification; none if it is no JSON object."""
    try:
        found = _clean(wire_json.loads(spec.encode(errors="replace")))
    except ValueError:
        return []
    return list(found.get("blocks", ())) if isinstance(found, dict) else []


def _clean(value: Any) -> Any:
    if isinstance(value, list):
        return [_clean(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    entries = {key: _entries(key, entry) for key, entry in value.items()}
    return {key: _clean(entry) for key, entry in entries.items() if _is_expected(key, entry)}


def _entries(key: str, value: Any) -> Any:
    """Return a list without the entries of the wrong type; other values as they are."""
    if key in _LISTS and isinstance(value, list):
        return [entry for entry in value if isinstance(entry, _LISTS[key])]
    return value


def _is_expected(key: str, value: Any) -> bool:
    if key in _LISTS:
        return isinstance(value, list)
    if key in _MAPPINGS:
        return isinstance(value, dict)
    if key in _TEXTS:
        return isinstance(value, str)
    return isinstance(value, int | float) if key in _NUMBERS else True
