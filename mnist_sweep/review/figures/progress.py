"""Figures of a sweep in time: best so far, learning curves, who ran what when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from mnist_sweep.review.figures.style import (
    ACCENT,
    BEST,
    FAINT,
    GREY,
    SERIES,
    STATUS,
    Figure,
    epoch_axis,
    escape,
    layout,
    metric_axis,
)
from mnist_sweep.review.records import (
    RunRecord,
    Status,
    SweepInfo,
    by_age,
    number,
    ranked,
    status,
    value_of,
)

TOP_CURVES = 8
MAX_POINTS = 200


def best_so_far(records: Sequence[RunRecord], info: SweepInfo, baseline: Sequence[RunRecord] = ()) -> Figure:
    """Every trial's value, and the best one so far, against the number of trials proposed.

    Infeasible and failed trials count: they cost a proposal. `baseline` are the runs of a random search; as their
    order means nothing, they are drawn as the median and the 10–90 % band of the best of n of them.
    """
    runs = [run for run in by_age(records) if status(run, info.metric) not in (Status.RUNNING, Status.BASELINE)]
    good = {run.id for run in ranked(runs, info)}
    points = [(i + 1, run, value_of(run, info.metric)) for i, run in enumerate(runs) if run.id in good]
    best: list[float] = []
    for _, _, value in points:
        assert value is not None  # ranked
        best.append(value if not best else max(best[-1], value, key=lambda v: info.sign * v))
    shown = "%{y:.2%}" if info.is_fraction else "%{y:.4g}"
    random = [v for run in ranked(baseline, info) if (v := value_of(run, info.metric)) is not None]
    data = _random_band(random, info)
    data += [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "a trial",
            "x": [x for x, _, _ in points],
            "y": [value for _, _, value in points],
            "ids": [run.id for _, run, _ in points],
            "text": [escape(run.label) for _, run, _ in points],
            "marker": {"size": 6, "color": FAINT, "line": {"width": 1, "color": ACCENT}},
            "hovertemplate": f"trial %{{x}}: %{{text}}<br>{shown}<extra></extra>",
        },
        {
            "type": "scatter",
            "mode": "lines",
            "name": "best so far",
            "x": [x for x, _, _ in points] + [len(runs)] * bool(best),
            "y": best + best[-1:],
            "line": {"shape": "hv", "color": BEST, "width": 2.5},
            "hovertemplate": f"best of %{{x}}: {shown}<extra></extra>",
        },
    ]
    values = [value for _, _, value in points if value is not None]
    shape = layout(
        xaxis={"title": {"text": "trials"}, "rangemode": "tozero", "zeroline": False},
        yaxis=metric_axis(info, values + random),
        showlegend=bool(random),
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    )
    return {"data": data, "layout": shape}


def expected_best(values: Sequence[float], quantile: float, sign: float = 1.0) -> list[float]:
    """The quantile of the best of the first n values over all orders of them, for n = 1 … len(values).

    Exact: the best of n drawn without replacement is at most the k-th smallest with probability C(k, n) / C(N, n).
    """
    ordered = np.sort(np.asarray(values, dtype=float) * sign)
    total = len(ordered)
    found: list[float] = []
    below = np.ones(total)  # P(best of n <= k-th smallest), for k = 1 … N; n = 0 gives 1
    ranks = np.arange(1, total + 1)
    for n in range(total):
        below = below * np.clip(ranks - n, 0, None) / (total - n)
        found.append(float(ordered[np.searchsorted(below, quantile - 1e-12)] * sign))
    return found


def _random_band(values: Sequence[float], info: SweepInfo) -> list[dict[str, Any]]:
    if not values:
        return []
    x = list(range(1, len(values) + 1))
    edge = {"type": "scatter", "mode": "lines", "x": x, "hoverinfo": "skip", "showlegend": False}
    return [
        edge | {"y": expected_best(values, 0.1, info.sign), "line": {"width": 0}},
        edge
        | {"y": expected_best(values, 0.9, info.sign), "line": {"width": 0}, "fill": "tonexty", "fillcolor": FAINT},
        edge
        | {
            "y": expected_best(values, 0.5, info.sign),
            "name": f"random search ({len(values)} trials, median and 10–90 %)",
            "line": {"color": GREY, "dash": "dash", "width": 2},
            "showlegend": True,
        },
    ]


def curve_points(record: RunRecord, info: SweepInfo) -> dict[str, list[float | None]]:
    """A run's curve: epoch (or step), metric and learning rate, at most `MAX_POINTS` of each, evenly taken."""
    rows = [row for row in record.history if number(row.get(info.metric)) is not None]
    if len(rows) > MAX_POINTS:
        places = np.linspace(0, len(rows) - 1, MAX_POINTS).round().astype(int)
        rows = [rows[place] for place in places]
    return {
        "x": [number(row.get("epoch", row.get("_step", i))) for i, row in enumerate(rows)],
        "y": [number(row.get(info.metric)) for row in rows],
        "lr": [number(row.get("lr")) for row in rows],
    }


def learning_curves(records: Sequence[RunRecord], info: SweepInfo) -> Figure:
    """The metric over the epochs, the learning rate below: the best runs in colour, all others in grey.

    Each trace's `meta` says which runs it joins (`runs`) and which of their columns it draws (`column`), so that a
    page can fill it again from newer points.
    """
    drawn = [run for run in records if run.history]
    top = ranked(drawn, info)[:TOP_CURVES]
    live = [run for run in drawn if status(run, info.metric) is Status.RUNNING]
    apart = {run.id for run in (*top, *live)}
    rest = [run for run in drawn if run.id not in apart]
    points = {run.id: curve_points(run, info) for run in drawn}
    data: list[dict[str, Any]] = []
    if rest:
        data += _curve_pair(rest, points, {"color": FAINT, "width": 1}, hover=False)
    for run in live:
        data += _curve_pair([run], points, {"color": STATUS[Status.RUNNING], "width": 2, "dash": "dot"})
    for run, colour in reversed(list(zip(top, SERIES, strict=False))):
        data += _curve_pair([run], points, {"color": colour, "width": 2})
    finals = [value for run in (*top, *rest) if (value := value_of(run, info.metric)) is not None]
    heights = [y for curve in points.values() for y in curve["y"] if y is not None]
    if len(finals) > 1 and heights:  # the best epoch need not be the last
        finals.append(max(heights, key=lambda y: info.sign * y))
    curve_axis = metric_axis(info, finals, domain=[0.36, 1.0])
    shape = layout(
        xaxis=epoch_axis(max((x or 0.0 for p in points.values() for x in p["x"]), default=0.0), anchor="y2"),
        yaxis=curve_axis,
        yaxis2={
            "title": {"text": "learning rate", "standoff": 14},
            "domain": [0.0, 0.26],
            "rangemode": "tozero",
            "zeroline": False,
            "automargin": True,
        },
        showlegend=bool(top),
        legend={"orientation": "v", "x": 1.01, "y": 1, "traceorder": "reversed"},
        height=520,
    )
    return {"data": data, "layout": shape}


def _curve_pair(
    runs: Sequence[RunRecord],
    points: dict[str, dict[str, list[float | None]]],
    line: dict[str, Any],
    hover: bool = True,
) -> list[dict[str, Any]]:
    ids = [run.id for run in runs]
    name = escape(runs[0].label) if len(runs) == 1 else f"{len(runs)} others"
    traces = []
    for column, axis in (("y", "y"), ("lr", "y2")):
        trace: dict[str, Any] = {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "yaxis": axis,
            "line": line,
            "meta": {"runs": ids, "column": column},
            "showlegend": column == "y",
            "legendgroup": "|".join(ids[:1]),
        }
        trace |= {"x": _joined(ids, points, "x"), "y": _joined(ids, points, column)}
        if not hover:
            trace["hoverinfo"] = "skip"
        traces.append(trace)
    return traces


def _joined(ids: Sequence[str], points: dict[str, dict[str, list[float | None]]], column: str) -> list[float | None]:
    """Many curves as one trace with gaps: 1,000 traces of their own would take a browser seconds."""
    values: list[float | None] = []
    for run in ids:
        values += points[run][column]
        values.append(None)
    return values[:-1]


def timeline(records: Sequence[RunRecord], info: SweepInfo) -> Figure | None:
    """One lane per agent, one bar per trial from start to end, coloured by how it ended; None without times."""
    timed = [run for run in by_age(records) if run.created_at is not None]
    if not timed:
        return None
    lanes = list(dict.fromkeys(run.agent or "one agent" for run in timed))
    data: list[dict[str, Any]] = []
    for kind in Status:
        runs = [run for run in timed if status(run, info.metric) is kind]
        if not runs:
            continue
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": kind.value,
                "y": [escape(run.agent or "one agent") for run in runs],
                "base": [run.created_at.isoformat() for run in runs if run.created_at],
                "x": [1000.0 * _length(run) for run in runs],  # a bar on a date axis is as long as milliseconds
                "ids": [run.id for run in runs],
                "text": [
                    escape(f"{run.label}, {_length(run):.0f} s, {info.show(value_of(run, info.metric))}")
                    for run in runs
                ],
                "textposition": "none",
                "marker": {"color": STATUS[kind], "line": {"width": 0}},
                "hovertemplate": "%{text}<extra>%{fullData.name}</extra>",
            }
        )
    shape = layout(
        barmode="overlay",
        bargap=0.35,
        xaxis={"type": "date", "zeroline": False},
        yaxis={"automargin": True, "categoryarray": [escape(lane) for lane in lanes[::-1]], "ticksuffix": "  "},
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        height=110 + 38 * len(lanes),
    )
    return {"data": data, "layout": shape}


def _length(run: RunRecord) -> float:
    """Seconds drawn: what the run took, but never so little that the bar cannot be seen."""
    if run.created_at and run.finished_at:
        return max((run.finished_at - run.created_at) / timedelta(seconds=1), 0.5)
    return max(run.seconds or 0.0, 0.5)
