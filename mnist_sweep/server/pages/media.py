"""Read from the store what a run logged beside numbers: files that a browser may show, tables, and charts."""

import json
import mimetypes
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mnist_sweep.review.figures import custom_chart
from mnist_sweep.review.media import SUMMARY, laid_over, logged
from mnist_sweep.review.page_data import Payload
from mnist_sweep.review.records import RunRecord, flatten
from mnist_sweep.server.errors import NotFound
from mnist_sweep.server.signed_urls import SignedUrls
from mnist_sweep.server.store import Store, artifacts, files, lines, runs
from mnist_sweep.server.store.rows import Run
from mnist_sweep.server.wire_json import stored, stored_object

_SIZE_LIMIT = 20_000_000
_ROW_LIMIT = 10_000
_CLIENT_SCHEME = "wandb-client-artifact://"
_SHOWN_TYPES = ("image/", "audio/", "video/", "text/html")


def of_run(db: sqlite3.Connection, row: Run, record: RunRecord, since: int = 0) -> Payload:
    """Return by key what the run has logged (`review.media.logged`): all of it, or what is newer than a version."""
    found = lines.with_objects(db, row.id, lines.HISTORY, since=since)
    parsed = [(line.line, stored(line.data)) for line in found]
    return logged(record, parsed, runs.charts(row.config), runs.mask_classes(row.config))


def media_type(name: str) -> str | None:
    """Return the media type of a run's file; None for a file that pages must not show."""
    if name.endswith(".boxes2D.json"):  # boxes over an image
        return "application/json"
    guess, _ = mimetypes.guess_type(name)
    return guess if guess and guess.startswith(_SHOWN_TYPES) else None


def value(db: sqlite3.Connection, row: Run, line: int, key: str) -> dict[str, Any]:
    """Return the value of a key in a line of the run's history, or in its summary.

    Raise NotFound if there is no such value, or it is no mapping.
    """
    texts = [row.summary] if line == SUMMARY else lines.texts_at(db, row.id, lines.HISTORY, line)
    found = flatten(stored(texts[0])).get(key) if texts else None
    if not isinstance(found, dict):
        raise NotFound(f"run {row.name} has logged no {key[:100]!r} there")
    return found


def read(store: Store, links: SignedUrls, db: sqlite3.Connection, row: Run, line: int, key: str, chart: str) -> Payload:
    """Return a table as `columns` and `rows`, or a chart as a `figure`. A Plotly figure is returned unchanged."""
    found = value(db, row, line, key)
    contents, address = _contents(store, db, row, found, links)
    if found.get("_type") == "plotly-file":
        return {"figure": {part: contents.get(part) for part in ("data", "layout")}}
    if chart and (figure := custom_chart(runs.charts(row.config).get(chart), contents)):
        return {"figure": figure}
    names = [str(name) for name in contents.get("columns") or ()]
    data = contents.get("data") or []
    rows = [[_cell(cell, address) for cell in line] for line in data[:_ROW_LIMIT]]
    return {"columns": names, "rows": rows, "total": len(data)}


def _contents(
    store: Store, db: sqlite3.Connection, row: Run, found: dict[str, Any], links: SignedUrls
) -> tuple[dict[str, Any], Callable[[str], str]]:
    """Return the parsed file behind a value, and a function from the files that it names to their addresses.

    An artifact keeps a table together with its images; the run's own file only names their paths.
    """
    client, _, name = str(found.get("artifact_path", "")).removeprefix(_CLIENT_SCHEME).partition("/")
    artifact = artifacts.by_client_id(db, client) if client else None
    if artifact is not None and artifact.run_id == row.id:
        stored = {file.name: file for file in artifacts.files(db, artifact.id) if file.blob}

        def in_artifact(path: str) -> str:
            return links.download(stored[path]) if path in stored else ""

        if name in stored:
            return _parsed(store.blobs.path(stored[name].blob)), in_artifact
    file = files.find(db, row.id, str(found.get("path", "")))
    if file is None:
        raise NotFound(f"{str(found.get('path'))[:200]!r} has not arrived from run {row.name} yet")
    address = f"/api/{quote(row.entity)}/{quote(row.project)}/runs/{quote(row.name)}/media/"
    return _parsed(store.blobs.path(file.blob)), lambda path: address + quote(path)


def _parsed(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _SIZE_LIMIT:
        raise NotFound(f"over {_SIZE_LIMIT // 1_000_000} MB, too large to show; download the file")
    found = stored_object(path, _SIZE_LIMIT)
    if found is None:
        raise NotFound("the file cannot be read")
    return found


def _cell(cell: Any, address: Callable[[str], str]) -> Any:
    """Return a cell of a table: a value, or the address of an image with its boxes and masks."""
    if isinstance(cell, dict) and cell.get("_type") == "image-file":
        masks = [address(path) for path in laid_over(cell, "masks")]
        given = cell.get("boxes")
        boxes = (
            [{"box_data": one} for one in given.values() if isinstance(one, list)] if isinstance(given, dict) else []
        )
        return {"image": address(str(cell.get("path", ""))), "boxes": boxes, "masks": masks}
    if isinstance(cell, dict) and "_type" in cell:
        return f"{cell['_type']} {cell.get('path', '')}"
    if isinstance(cell, dict | list):
        return json.dumps(cell)[:1000]
    return cell
