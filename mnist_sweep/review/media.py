"""What a run logged besides numbers: media, tables, histograms and the charts of `wandb.plot`, by key and step.

The client (`wandb/sdk/data_types`) logs them as mappings with a `_type`. Their contents are files of the run.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from mnist_sweep.review.records import STEP, RunRecord, flatten

KINDS = {
    "image-file": "image",
    "images/separated": "image",
    "table-file": "table",
    "histogram": "histogram",
    "audio-file": "audio",
    "audio": "audio",
    "video-file": "video",
    "videos": "video",
    "html-file": "html",
    "html": "html",
    "plotly-file": "figure",
}
"""How a value is shown, by its type. Other types are offered as files."""
SUMMARY = -1
"""Stands for a line's number if the value is only in the run's summary."""
ENTRIES = 500
"""The most steps of a key on a page. More are thinned out evenly."""

Payload = dict[str, Any]


def logged(
    record: RunRecord,
    lines: Iterable[tuple[int, Mapping[str, Any]]],
    charts: Mapping[str, Any],
    classes: Mapping[str, Any],
) -> Payload:
    """Return by key its kind, an entry for each step at which it was logged, and the classes of its masks by number.

    Args:
        record: the run, for its summary and its step metrics.
        lines: rows of its history, with their numbers.
        charts: the charts that it defined (`_wandb.visualize` of its configuration), by key.
        classes: the names of its masks' classes (`_wandb.mask/class_labels`), by key and mask.
    """
    owners = {table: key for key, chart in charts.items() if (table := table_of(key, chart))}
    found: Payload = {}
    for number, row in (*lines, (SUMMARY, record.summary)):
        for key, value in flatten(row).items():
            if not isinstance(value, Mapping) or key.startswith("_"):
                continue
            owner = owners.get(key, key)
            kind = "chart" if key in owners else KINDS.get(str(value.get("_type")), "file")
            media = found.setdefault(owner, {"kind": kind, "entries": []})
            if number == SUMMARY and media["entries"]:
                continue
            axis = record.axis_of(key)
            at = "" if number == SUMMARY else f"{axis.removeprefix('_')} {row.get(axis, row.get(STEP, number))}"
            media["entries"].append({"line": number, "key": key, "at": at} | _contents(kind, value))
    for key, media in found.items():
        media["entries"] = _thinned(media["entries"])
        media["classes"] = _classes(key, classes)
    return found


def _classes(key: str, classes: Mapping[str, Any]) -> Payload:
    mask_classes = (entry.get("value") for mask, entry in classes.items() if mask.startswith(f"{key}_wandb_delimeter_"))
    return {number: str(name) for names in mask_classes if isinstance(names, Mapping) for number, name in names.items()}


def table_of(key: str, chart: Any) -> str:
    """Return the key of the table that a chart draws; empty for an invalid definition."""
    if not isinstance(chart, Mapping):
        return ""
    config = chart.get("panel_config")
    query = config.get("userQuery") if isinstance(config, Mapping) else None
    stack = [query]
    while stack:
        node = stack.pop()
        if isinstance(node, Mapping):
            if node.get("name") == "tableKey" and isinstance(node.get("value"), str):
                return str(node["value"])
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)
    return f"{key}_table"


def _contents(kind: str, value: Mapping[str, Any]) -> Payload:
    if kind in ("table", "chart", "figure"):
        return {}
    if kind == "histogram":
        return {"bins": _edges(value), "values": value.get("values") or []}
    return {"items": list(_files(value))}


def _files(value: Mapping[str, Any]) -> Iterable[Payload]:
    """Yield the files of a value with their captions, and the files of their overlays: `boxes` and `masks`."""
    many = next((value[name] for name in ("filenames", "audio", "videos", "html") if name in value), None)
    captions = value.get("captions")
    for i, item in enumerate(many if isinstance(many, list) else [value]):
        path = item.get("path") if isinstance(item, Mapping) else item
        own = item.get("caption") if isinstance(item, Mapping) else None
        caption = captions[i] if isinstance(captions, list) and i < len(captions) else own
        if isinstance(path, str):
            over = {name: found for name in ("boxes", "masks") if (found := laid_over(value, name, i))}
            yield {"path": path, "caption": str(caption or "")} | over


def laid_over(value: Mapping[str, Any], name: str, place: int = 0) -> list[str]:
    """Return the files of an image's boxes or masks. `place` selects an image among several."""
    several = value.get(f"all_{name}")
    found = value.get(name) if not isinstance(several, list) else several[place] if place < len(several) else None
    entries = found.values() if isinstance(found, Mapping) else ()
    return [entry["path"] for entry in entries if isinstance(entry, Mapping) and isinstance(entry.get("path"), str)]


def _edges(value: Mapping[str, Any]) -> list[float]:
    if isinstance(packed := value.get("packedBins"), Mapping):
        low, width, count = (packed.get(name) for name in ("min", "size", "count"))
        if isinstance(low, int | float) and isinstance(width, int | float) and isinstance(count, int):
            return [low + width * i for i in range(min(count, 10_000) + 1)]
    bins = value.get("bins")
    return bins if isinstance(bins, list) else []


def _thinned(entries: list[Payload]) -> list[Payload]:
    if len(entries) <= ENTRIES:
        return entries
    return [entries[round(i * (len(entries) - 1) / (ENTRIES - 1))] for i in range(ENTRIES)]
