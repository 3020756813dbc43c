"""The common style of all figures.

The page sets the colours of axes, grid and text and the colour scale, because it knows the reader's theme.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mnist_sweep.review.palette import GREY, SCALE
from mnist_sweep.review.presentation import axis_name
from mnist_sweep.review.ranking import Ranking
from mnist_sweep.review.records import SweepField
from mnist_sweep.search.goal import Goal

Figure = dict[str, Any]
MARGIN = {"l": 64, "r": 16, "t": 16, "b": 48}
LONGEST_TICK = 18
"""Characters of a category's label."""
ABOVE = 44
"""Margin in pixels above a figure that has its legend there."""


def layout(**more: Any) -> dict[str, Any]:
    """Return the Plotly layout that all figures share; `more` overrides it."""
    base: dict[str, Any] = {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": MARGIN,
        "showlegend": False,
        "hovermode": "closest",
        "hoverlabel": {"align": "left"},
        "font": {"size": 12},
    }
    return base | more


def label_margin(labels: Iterable[str], extra: int = 20) -> int:
    """Estimate the pixels that labels beside a figure take. With fewer, Plotly draws the figure twice."""
    return extra + 7 * max(map(len, labels), default=0)


def metric_margin(ranking: Ranking, values: Sequence[float], *, named: bool = True, **more: int) -> dict[str, int]:
    """Return the margins of a figure with the metric's axis, `named` or only with numbers, on its left."""
    ends = [min(values), max(values)] if values else []
    show = ranking.presentation.show if ranking.presentation.fraction else "{:.2g}".format
    return MARGIN | {"l": label_margin(map(show, ends), 40 if named else 27)} | more


def metric_axis(ranking: Ranking, values: Sequence[float], **more: Any) -> dict[str, Any]:
    """Return the axis of the metric: per cent for fractions, and a range that a few bad runs do not squash."""
    axis: dict[str, Any] = {
        "title": {"text": escape(ranking.info.metric), "standoff": 14},
        "zeroline": False,
        "automargin": True,
    }
    if ranking.presentation.fraction:
        axis["tickformat"] = ".2%"
    if span := robust_range(values, ranking.info.goal):
        axis["range"] = list(span)
    return axis | more


def x_axis(axis: str, values: Sequence[float | None], **more: Any) -> dict[str, Any]:
    """Return the axis over which a metric was logged."""
    return {"title": {"text": escape(axis_name(axis))}, "zeroline": False} | whole_ticks(values) | more


def titled_axes(x: str, y: str) -> dict[str, dict[str, Any]]:
    """Return the axes of a chart whose values may be anything, by their names in a layout."""
    named = (("xaxis", x), ("yaxis", y))
    return {axis: {"title": {"text": escape(text)}, "zeroline": False, "automargin": True} for axis, text in named}


def whole_ticks(values: Sequence[float | None]) -> dict[str, Any]:
    """Return ticks without fractions if all values are whole: one per number, or every second one of up to 20."""
    known = [value for value in values if value is not None]
    if not known or not all(float(value).is_integer() for value in known):
        return {}
    span = max(known) - min(known)
    return {"tickformat": ",d"} | ({"dtick": 1 if span <= 8 else 2} if span <= 20 else {})


def outside_note(axis: dict[str, Any], values: Sequence[float], what: str, **place: Any) -> list[dict[str, Any]]:
    """Return an annotation that counts the values outside an axis's range, at the edge behind which they are."""
    low, high = axis.get("range", (-math.inf, math.inf))
    below, above = sum(value < low for value in values), sum(value > high for value in values)
    notes = []
    for count, sign, edge, anchor in ((below, "▼", 0, "bottom"), (above, "▲", 1, "top")):
        if count:
            text = f"{sign} {what}: {count}; double-click shows all"
            notes.append(
                {
                    "text": text,
                    "xref": "paper",
                    "yref": "paper",
                    "x": 0.995,
                    "y": edge,
                    "xanchor": "right",
                    "yanchor": anchor,
                    "showarrow": False,
                    "font": {"size": 11, "color": GREY},
                }
                | place
            )
    return notes


def robust_range(values: Sequence[float], goal: Goal) -> tuple[float, float] | None:
    """Return the range from Tukey's fence on the bad side to the best value, with a margin; None for < 2 values."""
    if len(values) < 2:
        return None
    low, high = min(values), max(values)
    q1, q3 = np.quantile(values, [0.25, 0.75])
    if goal is Goal.MAXIMIZE:
        low = max(low, float(q1 - 1.5 * (q3 - q1)))
    else:
        high = min(high, float(q3 + 1.5 * (q3 - q1)))
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def colour_range(values: Sequence[float], goal: Goal) -> dict[str, Any]:
    """Return a `coloraxis` over the values with the best at its strong end. The worst tenth shares one colour."""
    if not values:
        return {"colorscale": SCALE, "showscale": False}
    low, high = float(min(values)), float(max(values))
    if goal is Goal.MAXIMIZE:
        low = float(np.quantile(values, 0.1))
    else:
        high = float(np.quantile(values, 0.9))
    return {
        "cmin": low,
        "cmax": high if high > low else low + 1e-9,
        "colorscale": SCALE,
        "reversescale": goal is Goal.MINIMIZE,
        "showscale": False,
    }


def field_axis(field: SweepField) -> dict[str, Any]:
    """Return an axis over the whole range of a searched field: logarithmic like the search, categories in order."""
    axis: dict[str, Any] = {"title": {"text": escape(field.name)}, "zeroline": False}
    if field.kind == "categorical":
        names = list(field.choices)
        ticks = {"tickvals": names, "ticktext": [tick(name) for name in names]}
        return axis | {"type": "category", "categoryarray": names} | ticks
    low, high = field.low, field.high
    if field.kind == "int":
        axis |= {"tickformat": "d"} if field.log else whole_ticks([low, high])
    log = field.log and (low is None or low > 0)
    if low is not None and high is not None:
        ends = [math.log10(low), math.log10(high)] if log else [low, high]
        margin = 0.05 * (ends[1] - ends[0])
        axis["range"] = [ends[0] - margin, ends[1] + margin]
        if log:
            axis |= log_ticks(low, high)
    return axis | ({"type": "log"} if log else {})


def log_ticks(low: float, high: float, steps: Sequence[int] = (1, 3)) -> dict[str, list[Any]]:
    """Return ticks at 1 and 3 (or `steps`) × 10ⁿ between two positive bounds; only at 10ⁿ over many decades."""
    if high / low > 1e3:
        steps = (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marks = [step * float(f"1e{power}") for power in powers for step in steps]
    inside = [mark for mark in marks if low * (1 - 1e-9) <= mark <= high * (1 + 1e-9)]
    return {"tickvals": inside, "ticktext": [f"{mark:g}" for mark in inside]}


def tick(text: str) -> str:
    """Return a name for an axis; a long one is cut off to leave room for the figure."""
    return escape(text if len(text) <= LONGEST_TICK else f"{text[: LONGEST_TICK - 1]}…")


def escape(text: str) -> str:
    """Return text as Plotly shows it unchanged: Plotly reads `<b>`, `<a href>` and the like in labels."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
