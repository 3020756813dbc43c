"""Everything one run has logged, over its epochs or steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from mnist_sweep.review.figures.style import SERIES, Figure, epoch_axis, escape, layout
from mnist_sweep.review.records import RunRecord, number

MAX_PANELS = 12
MAX_ROWS = 500
COLUMNS = 3
AXES = ("epoch", "_step")


def logged_points(record: RunRecord) -> dict[str, list[float | None]]:
    """Columns by name, `x` (the epoch, else the step) and every numeric key of the history; at most `MAX_ROWS` rows."""
    rows = list(record.history)
    if len(rows) > MAX_ROWS:
        rows = [rows[place] for place in np.linspace(0, len(rows) - 1, MAX_ROWS).round().astype(int)]
    keys = dict.fromkeys(key for row in rows for key, value in row.items() if _is_metric(key, value))
    points: dict[str, list[float | None]] = {"x": [number(row.get("epoch", row.get("_step"))) for row in rows]}
    return points | {key: [number(row.get(key)) for row in rows] for key in keys}


def run_curves(record: RunRecord) -> Figure | None:
    """A panel for each kind of metric (`train/loss` and `val/loss` share one); None when nothing was logged.

    Each trace's `meta` says which run and column it draws, so that a page can fill it again from newer points.
    """
    points = logged_points(record)
    panels: dict[str, list[str]] = {}
    for key in points:
        if key != "x":
            panels.setdefault(key.rsplit("/", 1)[-1], []).append(key)
    shown = [(kind, sorted(keys, reverse=True)) for kind, keys in panels.items()]  # val/… before train/…
    shown = sorted(shown, key=lambda panel: -len(panel[1]))[:MAX_PANELS]
    if not shown:
        return None
    columns = 2 if len(shown) == 4 else min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    grid = {"rows": rows, "columns": columns, "pattern": "independent", "xgap": 0.14, "ygap": 0.3}
    shape = layout(grid=grid, height=80 + 210 * rows, margin={"l": 52, "r": 16, "t": 30, "b": 44}, annotations=[])
    axis = _x_axis(record, points)
    data: list[dict[str, Any]] = []
    for i, (kind, keys) in enumerate(shown):
        suffix = "" if i == 0 else str(i + 1)
        shape[f"xaxis{suffix}"] = axis if i >= len(shown) - columns else axis | {"title": {"text": ""}}
        shape[f"yaxis{suffix}"] = {"zeroline": False, "automargin": True}
        if "acc" in kind:
            shape[f"yaxis{suffix}"]["tickformat"] = ".2%"
        shape["annotations"].append(_heading(kind, keys, suffix))
        for key, colour in zip(keys, SERIES, strict=False):
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers" if len(record.history) < 40 else "lines",
                    "name": escape(key),
                    "x": points["x"],
                    "y": points[key],
                    "xaxis": f"x{suffix}",
                    "yaxis": f"y{suffix}",
                    "connectgaps": True,
                    "line": {"color": colour, "width": 2},
                    "marker": {"size": 4},
                    "meta": {"runs": [record.id], "column": key},
                }
            )
    return {"data": data, "layout": shape}


def _heading(kind: str, keys: list[str], suffix: str) -> dict[str, Any]:
    """The panel's title; with several keys in it, each in the colour of its line."""
    words = [f'<span style="color:{colour}">{escape(key)}</span>' for key, colour in zip(keys, SERIES, strict=False)]
    text = "   ".join(words) if len(keys) > 1 else escape(keys[0] if keys else kind)
    place = {"xref": f"x{suffix} domain", "yref": f"y{suffix} domain", "x": 0, "y": 1.04}
    return place | {"text": text, "showarrow": False, "xanchor": "left", "yanchor": "bottom"}


def _x_axis(record: RunRecord, points: dict[str, list[float | None]]) -> dict[str, Any]:
    if any("epoch" in row for row in record.history):
        return epoch_axis(max((x or 0.0 for x in points["x"]), default=0.0))
    return {"zeroline": False, "title": {"text": "step"}}


def _is_metric(key: str, value: Any) -> bool:
    return not key.startswith("_") and key not in AXES and number(value) is not None
