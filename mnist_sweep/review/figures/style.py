"""The one look of all figures. Colours are mid-tones that hold on a light and on a dark page; the page adds the rest.

Axis, grid and text colours and the colour scale of `coloraxis` are the page's, which knows the reader's theme.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mnist_sweep.review.records import Status, SweepField, SweepInfo

Figure = dict[str, Any]

ACCENT = "#4c78dd"
FAINT = "rgba(128,138,155,0.35)"
GREY = "#8a94a6"
BEST = "#e0653a"
SCALE = [[0.0, "#d5dae3"], [0.45, "#8fb0dd"], [0.75, "#3f6fc4"], [1.0, "#3b1e77"]]
SERIES = ("#4c78dd", "#e0653a", "#2a9d8f", "#b865c9", "#c99a1f", "#5aa9e6", "#d9527e", "#6a9a3b", "#8f7ae5", "#a0704f")
STATUS = {
    Status.OK: ACCENT,
    Status.RUNNING: "#2a9d8f",
    Status.STOPPED: "#8a94a6",
    Status.INFEASIBLE: "#d19a2a",
    Status.DIVERGED: "#d9527e",
    Status.FAILED: "#b5473c",
    Status.BASELINE: "#9b7fd1",
}


def layout(**more: Any) -> dict[str, Any]:
    """Plotly layout shared by all figures; `more` overrides it."""
    base: dict[str, Any] = {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 64, "r": 16, "t": 12, "b": 48},
        "showlegend": False,
        "hovermode": "closest",
        "hoverlabel": {"align": "left"},
        "font": {"size": 12},
    }
    return base | more


def metric_axis(info: SweepInfo, values: Sequence[float], **more: Any) -> dict[str, Any]:
    """The axis of the metric: per cent for accuracies, and a range that a few bad runs do not squash."""
    axis: dict[str, Any] = {
        "title": {"text": escape(info.metric), "standoff": 14},
        "zeroline": False,
        "automargin": True,
    }
    if info.is_fraction:
        axis["tickformat"] = ".2%"
    if span := robust_range(values, info.sign):
        axis["range"] = list(span)
    return axis | more


def epoch_axis(last: float, **more: Any) -> dict[str, Any]:
    """An axis of epochs: whole numbers, each of them as long as they are few."""
    axis: dict[str, Any] = {"title": {"text": "epoch"}, "zeroline": False, "tickformat": "d"}
    return axis | ({"dtick": 1} if last <= 20 else {}) | more


def robust_range(values: Sequence[float], sign: float) -> tuple[float, float] | None:
    """From the far whisker (Tukey's fence) on the bad side to the best value, with a margin; None for < 2 values."""
    if len(values) < 2:
        return None
    low, high = min(values), max(values)
    q1, q3 = np.quantile(values, [0.25, 0.75])
    if sign > 0:
        low = max(low, float(q1 - 1.5 * (q3 - q1)))
    else:
        high = min(high, float(q3 + 1.5 * (q3 - q1)))
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def colour_range(values: Sequence[float], sign: float) -> dict[str, Any]:
    """A `coloraxis` over the values, the best at its strong end; the worst tenth shares one colour."""
    if not values:
        return {"colorscale": SCALE, "showscale": False}
    low, high = float(min(values)), float(max(values))
    if sign > 0:
        low = float(np.quantile(values, 0.1))
    else:
        high = float(np.quantile(values, 0.9))
    return {
        "cmin": low,
        "cmax": high if high > low else low + 1e-9,
        "colorscale": SCALE,
        "reversescale": sign < 0,
        "showscale": False,
    }


def field_axis(field: SweepField) -> dict[str, Any]:
    """An axis for one searched field, over its whole range: logarithmic where the search is, categories in order."""
    axis: dict[str, Any] = {"title": {"text": escape(field.name)}, "zeroline": False}
    if field.kind == "categorical":
        return axis | {"type": "category", "categoryarray": [str(c) for c in field.choices]}
    if field.kind == "int":
        axis["tickformat"] = "d"
    low, high = field.low, field.high
    log = field.log and (low is None or low > 0)
    if low is not None and high is not None:
        ends = [math.log10(low), math.log10(high)] if log else [low, high]
        margin = 0.05 * (ends[1] - ends[0])
        axis["range"] = [ends[0] - margin, ends[1] + margin]
        if log:
            axis |= log_ticks(low, high)
    return axis | ({"type": "log"} if log else {})


def log_ticks(low: float, high: float, steps: Sequence[int] = (1, 3)) -> dict[str, list[Any]]:
    """Ticks at 1 and 3 (or `steps`) × 10ⁿ between two positive bounds; at the powers only over many decades."""
    if high / low > 1e3:
        steps = (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marks = [step * 10.0**power for power in powers for step in steps]
    inside = [mark for mark in marks if low * (1 - 1e-9) <= mark <= high * (1 + 1e-9)]
    return {"tickvals": inside, "ticktext": [f"{mark:g}" for mark in inside]}


def escape(text: str) -> str:
    """Plotly reads `<b>`, `<a href>` and the like in labels; a name is text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
