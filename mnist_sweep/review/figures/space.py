"""Figures of the searched space: parallel coordinates, importance, slices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mnist_sweep.review.figures.style import (
    ACCENT,
    BEST,
    FAINT,
    GREY,
    Figure,
    colour_range,
    escape,
    field_axis,
    layout,
    log_ticks,
    metric_axis,
)
from mnist_sweep.review.importance import Importance
from mnist_sweep.review.records import RunRecord, SweepField, SweepInfo, number, ranked, value_of

MAX_SLICES = 12


def parallel_coordinates(records: Sequence[RunRecord], info: SweepInfo) -> Figure:
    """One line per ranked run through all searched fields, `parameters` and the metric, coloured by the metric.

    A logarithmic dimension holds log10 of its values, with ticks at the powers of ten. `ids` are the runs' ids.
    """
    runs = ranked(records, info)[::-1]  # the best last, so that they are drawn on top
    values = [value_of(run, info.metric) or 0.0 for run in runs]
    dimensions = [_dimension(field, runs) for field in info.fields]
    if any(number(run.summary.get("parameters")) is not None for run in runs):
        counts = [number(run.summary.get("parameters")) for run in runs]
        if len(set(counts)) > 1:
            dimensions.append({"label": "parameters", "values": counts})
    dimensions.append(
        {"label": escape(info.metric), "values": values} | ({"tickformat": ".2%"} if info.is_fraction else {})
    )
    trace = {
        "type": "parcoords",
        "ids": [run.id for run in runs],
        "dimensions": dimensions,
        "line": {"color": values, "coloraxis": "coloraxis"},
    }
    return {"data": [trace], "layout": layout(coloraxis=colour_range(values, info.sign))}


def importance_bars(importance: Importance) -> Figure:
    """One bar per field, the largest on top; a tick marks what shuffled results reach, bars below it are grey."""
    names = list(importance.shares)[::-1]
    bar = {
        "type": "bar",
        "orientation": "h",
        "y": [escape(name) for name in names],
        "x": [importance.shares[name] for name in names],
        "marker": {"color": [ACCENT if importance.says_something(name) else FAINT for name in names]},
        "hovertemplate": "%{y}: %{x:.0%}<extra></extra>",
    }
    noise = {
        "type": "scatter",
        "mode": "markers",
        "y": bar["y"],
        "x": [importance.noise[name] for name in names],
        "marker": {"symbol": "line-ns-open", "size": 16, "color": GREY, "line": {"width": 2}},
        "hovertemplate": "shuffled results reach %{x:.0%}<extra></extra>",
    }
    height = max(180, 34 * len(names) + 64)
    axis = {"tickformat": ".0%", "rangemode": "tozero", "zeroline": False, "title": {"text": "share of importance"}}
    return {
        "data": [bar, noise],
        "layout": layout(xaxis=axis, yaxis={"automargin": True, "ticksuffix": "  "}, height=height, bargap=0.45),
    }


def slices(records: Sequence[RunRecord], info: SweepInfo, first: Sequence[str] = ()) -> Figure:
    """The metric against each searched field in a panel of its own, all on one metric axis.

    `first` orders the panels (the most important field first). The best run is marked in every panel.
    """
    runs = ranked(records, info)
    place = {name: i for i, name in enumerate(first)}
    fields = sorted(info.fields, key=lambda f: place.get(f.name, len(place)))[:MAX_SLICES]
    columns = min(4, max(len(fields), 1))
    rows = math.ceil(len(fields) / columns) or 1
    values = [value_of(run, info.metric) or 0.0 for run in runs]
    shape = layout(
        grid={"rows": rows, "columns": columns, "pattern": "independent", "xgap": 0.1, "ygap": 0.34},
        height=70 + 190 * rows,
        coloraxis=colour_range(values, info.sign),
    )
    data: list[dict[str, Any]] = []
    for i, field in enumerate(fields):
        suffix = "" if i == 0 else str(i + 1)
        shape[f"xaxis{suffix}"] = field_axis(field)
        shape[f"yaxis{suffix}"] = metric_axis(info, values, title={"text": ""}) | (
            {"matches": "y", "showticklabels": i % columns == 0} if i else {}
        )
        data += _slice(field, runs, values, suffix, info)
    return {"data": data, "layout": shape}


def _slice(
    field: SweepField, runs: Sequence[RunRecord], values: Sequence[float], suffix: str, info: SweepInfo
) -> list[dict[str, Any]]:
    text = [escape(run.label) for run in runs]
    x = [_plain(field, run.config.get(field.name)) for run in runs]
    axes = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}", "type": "scatter", "mode": "markers"}
    shown = "%{y:.2%}" if info.is_fraction else "%{y:.4g}"
    points = axes | {
        "x": x,
        "y": list(values),
        "text": text,
        "ids": [run.id for run in runs],
        "marker": {"size": 7, "color": list(values), "coloraxis": "coloraxis", "line": {"width": 0.5, "color": GREY}},
        "hovertemplate": f"%{{text}}<br>{escape(field.name)} %{{x}}<br>{shown}<extra></extra>",
    }
    best = axes | {
        "x": x[:1],
        "y": list(values[:1]),
        "marker": {"size": 13, "symbol": "circle-open", "color": BEST, "line": {"width": 2}},
        "hoverinfo": "skip",
    }
    return [points, best]


def _dimension(field: SweepField, runs: Sequence[RunRecord]) -> dict[str, Any]:
    raw = [run.config.get(field.name) for run in runs]
    dimension: dict[str, Any] = {"label": escape(field.name)}
    if field.kind == "categorical":
        seen = {str(value) for value in raw}
        names = [str(c) for c in field.choices] + sorted(seen - {str(c) for c in field.choices})
        dimension["values"] = [names.index(str(value)) for value in raw]
        ticks = {"tickvals": list(range(len(names))), "ticktext": [escape(name) for name in names]}
        return dimension | ticks | {"range": [-0.3, len(names) - 0.7]}
    known = [number(value) for value in raw]
    if not field.log:
        bounds = {} if field.low is None or field.high is None else {"range": [field.low, field.high]}
        return dimension | {"values": known} | bounds
    values = [math.log10(value) if value is not None and value > 0 else None for value in known]
    ends = [math.log10(bound) for bound in (field.low, field.high) if bound is not None and bound > 0]
    span = ends if len(ends) == 2 else [v for v in values if v is not None] or [0.0]
    low, high = min(span), max(span)
    dimension |= {"values": values, "range": [low, high]}
    marks = log_ticks(10**low, 10**high, steps=(1, 2, 5))
    return dimension | marks | {"tickvals": [math.log10(mark) for mark in marks["tickvals"]]}


def _plain(field: SweepField, value: Any) -> Any:
    return str(value) if field.kind == "categorical" else number(value)
