"""The searched space: parallel coordinates, importance and slices."""

import math
from collections.abc import Sequence
from typing import Any

from mnist_sweep.review.fields import field_value
from mnist_sweep.review.figures.style import (
    MARGIN,
    Figure,
    colour_range,
    escape,
    field_axis,
    label_margin,
    layout,
    log_ticks,
    metric_axis,
    metric_margin,
    tick,
)
from mnist_sweep.review.importance import Importance
from mnist_sweep.review.palette import ACCENT, BEST, FAINT, GREY
from mnist_sweep.review.ranking import RankedTrial, Ranking
from mnist_sweep.review.records import SweepField, number

MAX_SLICES = 12


def parallel_coordinates(ranking: Ranking) -> Figure | None:
    """Return one line per ranked run through all searched fields, the size and the metric, coloured by the metric.

    A logarithmic dimension has the log10 of its values, with ticks at the powers of ten. `ids` are the runs' ids. The
    result is None with nothing ranked or nothing searched.
    """
    trials = ranking.ranked[::-1]  # the best last, which draws them on top
    if not trials or not ranking.info.fields:
        return None
    values = [trial.value for trial in trials]
    dimensions = [_dimension(field, trials) for field in ranking.info.fields]
    sizes = [trial.size for trial in trials]
    if len(set(sizes) - {None}) > 1:
        dimensions.append({"label": escape(ranking.presentation.size), "values": sizes})
    metric: dict[str, Any] = {"label": escape(ranking.info.metric), "values": values}
    dimensions.append(metric | ({"tickformat": ".2%"} if ranking.presentation.fraction else {}))
    trace = {
        "type": "parcoords",
        "ids": [trial.id for trial in trials],
        "dimensions": dimensions,
        "line": {"color": values, "coloraxis": "coloraxis"},
    }
    return {"data": [trace], "layout": layout(coloraxis=colour_range(values, ranking.info.goal))}


def importance_bars(importance: Importance) -> Figure | None:
    """Return one bar per field, the largest on top. A tick marks what shuffled results reach; lower bars are grey."""
    if not importance.shares:
        return None
    names = list(importance.shares)[::-1]
    bar = {
        "type": "bar",
        "orientation": "h",
        "y": [escape(name) for name in names],
        "x": [importance.shares[name] for name in names],
        "marker": {"color": [ACCENT if importance.above_noise(name) else FAINT for name in names]},
        "customdata": [100 * importance.shares[name] for name in names],
        "hovertemplate": "%{y}: %{customdata:.0f} %<extra></extra>",
    }
    noise = {
        "type": "scatter",
        "mode": "markers",
        "y": bar["y"],
        "x": [min(importance.noise[name], 1.0) for name in names],  # of few trials it can exceed all of the importance
        "marker": {"symbol": "line-ns-open", "size": 16, "color": GREY, "line": {"width": 2}},
        "customdata": [100 * importance.noise[name] for name in names],
        "hovertemplate": "shuffled results reach %{customdata:.0f} %<extra></extra>",
    }
    height = max(180, 34 * len(names) + 64)
    axis = {"tickformat": ".0%", "rangemode": "tozero", "zeroline": False, "title": {"text": "share of importance"}}
    return {
        "data": [bar, noise],
        "layout": layout(
            margin=MARGIN | {"l": label_margin(names)},
            xaxis=axis,
            yaxis={"automargin": True, "ticksuffix": "  "},
            height=height,
            bargap=0.45,
        ),
    }


def slices(ranking: Ranking, first: Sequence[str] = ()) -> Figure | None:
    """Return the metric against each searched field, one panel per field, all on one metric axis.

    `first` names the fields that come first. A ring marks the best run in every panel. The result is None with nothing
    ranked or nothing searched.
    """
    place = {name: i for i, name in enumerate(first)}
    fields = sorted(ranking.info.fields, key=lambda f: place.get(f.name, len(place)))[:MAX_SLICES]
    if not ranking.ranked or not fields:
        return None
    columns = min(4, len(fields))
    rows = math.ceil(len(fields) / columns)
    values = ranking.values
    shape = layout(
        grid={"rows": rows, "columns": columns, "pattern": "independent", "xgap": 0.1, "ygap": 0.34},
        margin=metric_margin(ranking, values, named=False),
        height=70 + 190 * rows,
        coloraxis=colour_range(values, ranking.info.goal),
    )
    data: list[dict[str, Any]] = []
    for i, field in enumerate(fields):
        suffix = "" if i == 0 else str(i + 1)
        shape[f"xaxis{suffix}"] = field_axis(field)
        shape[f"yaxis{suffix}"] = metric_axis(ranking, values, title={"text": ""}) | (
            {"matches": "y", "showticklabels": i % columns == 0} if i else {}
        )
        data += _slice(field, ranking, suffix)
    return {"data": data, "layout": shape}


def _slice(field: SweepField, ranking: Ranking, suffix: str) -> list[dict[str, Any]]:
    trials, values = ranking.ranked, ranking.values
    x = [field_value(trial.record, field) for trial in trials]
    axes = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}", "type": "scatter", "mode": "markers"}
    hover_format = ranking.presentation.hover_format
    points = axes | {
        "x": x,
        "y": values,
        "text": [escape(trial.label) for trial in trials],
        "ids": [trial.id for trial in trials],
        "marker": {"size": 7, "color": values, "coloraxis": "coloraxis", "line": {"width": 0.5, "color": GREY}},
        "hovertemplate": f"%{{text}}<br>{escape(field.name)} %{{x}}<br>{hover_format}<extra></extra>",
    }
    best = axes | {
        "x": x[:1],
        "y": values[:1],
        "marker": {"size": 13, "symbol": "circle-open", "color": BEST, "line": {"width": 2}},
        "hoverinfo": "skip",
    }
    return [points, best]


def _dimension(field: SweepField, trials: Sequence[RankedTrial]) -> dict[str, Any]:
    dimension: dict[str, Any] = {"label": escape(field.name)}
    given = [field_value(trial.record, field) for trial in trials]
    if field.kind == "categorical":
        texts = [str(value) if value is not None else "" for value in given]
        names = list(dict.fromkeys([*field.choices, *sorted(texts)]))
        dimension["values"] = [names.index(text) for text in texts]
        ticks = {"tickvals": list(range(len(names))), "ticktext": [tick(name) for name in names]}
        return dimension | ticks | {"range": [-0.3, len(names) - 0.7]}
    known = [number(value) for value in given]
    if not field.log:
        if field.low is None or field.high is None:
            return dimension | {"values": known}
        if field.kind == "int" and field.high - field.low <= 8:
            dimension["tickvals"] = list(range(int(field.low), int(field.high) + 1))
            dimension["ticktext"] = [str(value) for value in dimension["tickvals"]]
        return dimension | {"values": known, "range": [field.low, field.high]}
    values = [math.log10(value) if value is not None and value > 0 else None for value in known]
    ends = [math.log10(bound) for bound in (field.low, field.high) if bound is not None and bound > 0]
    span = ends if len(ends) == 2 else [v for v in values if v is not None] or [0.0]
    low, high = min(span), max(span)
    dimension |= {"values": values, "range": [low, high]}
    marks = log_ticks(10**low, 10**high, steps=(1, 2, 5))
    return dimension | marks | {"tickvals": [math.log10(mark) for mark in marks["tickvals"]]}
