"""Accuracy against size: who is on the front, and where the limit is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mnist_sweep.review.figures.style import (
    BEST,
    GREY,
    STATUS,
    Figure,
    colour_range,
    escape,
    layout,
    metric_axis,
)
from mnist_sweep.review.records import RunRecord, Status, SweepInfo, number, ranked, reason, status, value_of


def parameter_limit(records: Sequence[RunRecord]) -> int | None:
    """The first parameter count that is not allowed, from what the runs report; None when they report no such limit.

    `constraint/parameters` is the distance to the largest allowed count, so the limit is one above that.
    """
    for record in records:
        count = number(record.summary.get("parameters"))
        over = number(record.summary.get("constraint/parameters"))
        if count is not None and over is not None:
            return round(count - over) + 1
    return None


def pareto_front(records: Sequence[RunRecord], info: SweepInfo) -> list[RunRecord]:
    """The ranked runs that no other one beats in both size and metric, smallest first."""
    runs = [run for run in ranked(records, info) if number(run.summary.get("parameters")) is not None]
    front: list[RunRecord] = []
    for run in sorted(runs, key=lambda r: (_size(r), -info.sign * _value(r, info))):
        if not front or info.sign * _value(run, info) > info.sign * _value(front[-1], info):
            front.append(run)
    return front


def tradeoff(records: Sequence[RunRecord], info: SweepInfo) -> Figure | None:
    """The metric against `parameters`, the front as steps, the limit as a line; None when no run reports a count.

    Infeasible runs have no metric: they are marked on the lower edge, at their count.
    """
    runs = [run for run in ranked(records, info) if number(run.summary.get("parameters")) is not None]
    if not runs:
        return None
    values = [_value(run, info) for run in runs]
    shown = "%{y:.2%}" if info.is_fraction else "%{y:.4g}"
    front = pareto_front(records, info)
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "line": {"shape": "hv", "color": BEST, "width": 1.5},
            "x": [_size(run) for run in front],
            "y": [_value(run, info) for run in front],
            "hoverinfo": "skip",
        },
        {
            "type": "scatter",
            "mode": "markers",
            "x": [_size(run) for run in runs],
            "y": values,
            "ids": [run.id for run in runs],
            "text": [escape(run.label) for run in runs],
            "marker": {
                "size": 8,
                "color": values,
                "coloraxis": "coloraxis",
                "line": {"width": 0.5, "color": GREY},
            },
            "hovertemplate": f"%{{text}}<br>%{{x:,}} parameters<br>{shown}<extra></extra>",
        },
    ]
    shape = layout(
        margin={"l": 64, "r": 16, "t": 26, "b": 48},
        xaxis={"title": {"text": "parameters"}, "zeroline": False, "tickformat": ","},
        yaxis=metric_axis(info, values),
        coloraxis=colour_range(values, info.sign),
    )
    if refused := _refused(records, info):
        data += refused
        shape["yaxis2"] = {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}
    if limit := parameter_limit(records):
        shape["shapes"] = [
            {
                "type": "line",
                "x0": limit,
                "x1": limit,
                "y0": 0,
                "y1": 1,
                "yref": "paper",
                "line": {"dash": "dot", "width": 1.5, "color": GREY},
            }
        ]
        shape["annotations"] = [
            {"x": limit, "y": 1, "yref": "paper", "text": f"limit {limit:,} ", "showarrow": False, "xanchor": "right"}
            | {"yanchor": "bottom"}
        ]
    return {"data": data, "layout": shape}


def _refused(records: Sequence[RunRecord], info: SweepInfo) -> list[dict[str, Any]]:
    over = [
        run
        for run in records
        if status(run, info.metric) is Status.INFEASIBLE and number(run.summary.get("parameters")) is not None
    ]
    if not over:
        return []
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [_size(run) for run in over],
            "y": [0.02] * len(over),
            "yaxis": "y2",
            "text": [escape(f"{run.label}: {reason(run, info.metric)}") for run in over],
            "marker": {"symbol": "x-thin-open", "size": 8, "color": STATUS[Status.INFEASIBLE], "line": {"width": 1.5}},
            "hovertemplate": "%{text}<extra>refused</extra>",
        }
    ]


def _size(run: RunRecord) -> float:
    return number(run.summary.get("parameters")) or 0.0


def _value(run: RunRecord, info: SweepInfo) -> float:
    value = value_of(run, info.metric)
    assert value is not None  # only ranked runs come here
    return value
