"""Everything that one run has logged, over the step metrics that it defined."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from mnist_sweep.review.figures.style import Figure, escape, layout, whole_ticks, x_axis
from mnist_sweep.review.palette import SERIES
from mnist_sweep.review.presentation import is_counter, is_fraction
from mnist_sweep.review.records import STEP, RunRecord, number
from mnist_sweep.review.system_metrics import readable

MAX_PANELS = 12
MAX_ROWS = 500
COLUMNS = 3
RUNTIME = "_runtime"

Points = dict[str, list[float | None]]


def logged_points(record: RunRecord) -> Points:
    """Return every numeric key of the history, with `_step` and `_runtime`, as columns of at most `MAX_ROWS` rows."""
    rows = list(record.history)
    if len(rows) > MAX_ROWS:
        rows = [rows[place] for place in np.linspace(0, len(rows) - 1, MAX_ROWS).round().astype(int)]
    keys = dict.fromkeys(key for row in rows for key, value in row.items() if number(value) is not None)
    wanted = [key for key in keys if not key.startswith("_") or key in (STEP, RUNTIME)]
    return {key: [number(row.get(key)) for row in rows] for key in wanted}


def axes(record: RunRecord, points: Points) -> list[str]:
    """Return what the run's metrics may be drawn over: its step metrics, its step, its time, and what counts up."""
    defined = [axis for axis in dict.fromkeys(record.step_metrics.values()) if axis in points]
    counting = [key for key, values in points.items() if not key.startswith("_") and _counts_up(values)]
    return list(dict.fromkeys([*defined, *(key for key in (STEP, RUNTIME) if key in points), *counting]))


def run_curves(record: RunRecord, over: str = "") -> Figure | None:
    """Return a panel for each kind of metric; None if nothing was logged twice.

    `train/loss` and `val/loss` share a panel. The x axis is `over`, or each metric's own step metric. Each trace's
    `meta` says which run and columns it draws, so that a page can fill it again from newer points.
    """
    points = logged_points(record)
    panels = _panels(points, set(record.step_metrics.values()))
    if not panels or len(record.history) < 2:
        return None
    columns = 2 if len(panels) == 4 else min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    grid = {"rows": rows, "columns": columns, "pattern": "independent", "xgap": 0.14, "ygap": 0.3}
    shape = layout(grid=grid, height=80 + 210 * rows, margin={"l": 52, "r": 16, "t": 30, "b": 44}, annotations=[])
    data: list[dict[str, Any]] = []
    for i, keys in enumerate(panels):
        suffix = "" if i == 0 else str(i + 1)
        own = [over or record.axis_of(key) for key in keys]
        axis = x_axis(own[0], points.get(own[0], []))
        below = i >= len(panels) - columns or len({*own, *_first_axes(panels, record, over)}) > 1
        shape[f"xaxis{suffix}"] = axis if below else axis | {"title": {"text": ""}}
        heights = [value for key in keys for value in points[key]]
        shape[f"yaxis{suffix}"] = {"zeroline": False, "automargin": True} | whole_ticks(heights)
        if all(is_fraction(key, points[key]) for key in keys):
            shape[f"yaxis{suffix}"]["tickformat"] = ".2%"
        shape["annotations"].append(_heading(keys, suffix))
        for key, along, colour in zip(keys, own, SERIES, strict=False):
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers" if len(record.history) < 40 else "lines",
                    "name": escape(key),
                    "x": points.get(along, []),
                    "y": points[key],
                    "xaxis": f"x{suffix}",
                    "yaxis": f"y{suffix}",
                    "connectgaps": True,
                    "line": {"color": colour, "width": 2},
                    "marker": {"size": 4},
                    "meta": {"runs": [record.id], "x": along, "column": key},
                }
            )
    return {"data": data, "layout": shape}


def system_curves(record: RunRecord) -> Figure | None:
    """Return a panel for each measure of the machine that changed (`system.cpu`, …), over the run's seconds."""
    keys = dict.fromkeys(key for row in record.history for key in row if key.startswith("system."))
    moving = {key for key in keys if len({row.get(key) for row in record.history} - {None}) > 1}
    named = {key: readable(key) for key in sorted(moving)}
    rows = [{RUNTIME: row.get(RUNTIME)} | {named[key]: row.get(key) for key in named} for row in record.history]
    return run_curves(replace(record, history=rows), over=RUNTIME)


def _panels(points: Mapping[str, Any], step_metrics: set[str]) -> list[list[str]]:
    """Return the metrics of each panel, the panels with most of them first. Counters such as `epoch` have none."""
    panels: dict[str, list[str]] = {}
    for key in points:
        counts = is_counter(key) and _counts_up(points[key])
        if not key.startswith("_") and key not in step_metrics and not counts and _is_curve(points[key]):
            panels.setdefault(key.rsplit("/", 1)[-1], []).append(key)
    ordered = [sorted(keys, reverse=True) for keys in panels.values()]  # val/… before train/…
    return sorted(ordered, key=lambda keys: -len(keys))[:MAX_PANELS]


def _is_curve(values: Sequence[float | None]) -> bool:
    return sum(value is not None for value in values) > 1


def _first_axes(panels: Sequence[Sequence[str]], record: RunRecord, over: str) -> set[str]:
    return {over or record.axis_of(keys[0]) for keys in panels}


def _counts_up(values: Sequence[float | None]) -> bool:
    known = [value for value in values if value is not None]
    rising = all(a <= b for a, b in pairwise(known))
    return rising and len(set(known)) > 1 and all(value.is_integer() for value in known)


def _heading(keys: Sequence[str], suffix: str) -> dict[str, Any]:
    """Return the panel's title; several keys have the colours of their lines."""
    words = [f'<span style="color:{colour}">{escape(key)}</span>' for key, colour in zip(keys, SERIES, strict=False)]
    text = "   ".join(words) if len(keys) > 1 else escape(keys[0])
    place = {"xref": f"x{suffix} domain", "yref": f"y{suffix} domain", "x": 0, "y": 1.04}
    return place | {"text": text, "showarrow": False, "xanchor": "left", "yanchor": "bottom"}
