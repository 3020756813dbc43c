"""The one look of all figures.

Axis, grid and text colours and the colour scale of `coloraxis` are the page's, which knows the reader's theme.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mnist_sweep.review.palette import SCALE
from mnist_sweep.review.presentation import axis_name
from mnist_sweep.review.ranking import Ranking
from mnist_sweep.review.records import SweepField
from mnist_sweep.search.goal import Goal

Figure = dict[str, Any]
MARGIN = {"l": 64, "r": 16, "t": 16, "b": 48}
LONGEST_TICK = 18
"""Characters."""
ABOVE = 44
"""The margin above a figure whose legend stands there."""


def layout(**more: Any) -> dict[str, Any]:
    """Plotly layout shared by all figures; `more` overrides it."""
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


def beside(labels: Iterable[str], extra: int = 20) -> int:
    """Pixels that labels beside a figure take, about: where there are fewer, Plotly draws all of it a second time."""
    return extra + 7 * max(map(len, labels), default=0)


def metric_margin(ranking: Ranking, values: Sequence[float], *, named: bool = True, **more: int) -> dict[str, int]:
    """The margins of a figure with the metric's axis on its left, which has a name or only numbers."""
    ends = [min(values), max(values)] if values else []
    show = ranking.presentation.show if ranking.presentation.fraction else "{:.2g}".format
    return MARGIN | {"l": beside(map(show, ends), 40 if named else 27)} | more


def metric_axis(ranking: Ranking, values: Sequence[float], **more: Any) -> dict[str, Any]:
    """The axis of the metric: per cent for shares, and a range that a few bad runs do not squash."""
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
    """The axis over which a metric was logged; few whole numbers have a tick each, more of them every second."""
    known = [value for value in values if value is not None]
    shape: dict[str, Any] = {"title": {"text": escape(axis_name(axis))}, "zeroline": False}
    if all(value.is_integer() for value in known):
        span = max(known, default=0) - min(known, default=0)
        shape |= {"tickformat": "d"} | ({"dtick": 1 if span <= 8 else 2} if span <= 20 else {})
    return shape | more


def robust_range(values: Sequence[float], goal: Goal) -> tuple[float, float] | None:
    """From the far whisker (Tukey's fence) on the bad side to the best value, with a margin; None for < 2 values."""
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
    """A `coloraxis` over the values, the best at its strong end; the worst tenth shares one colour."""
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
    """An axis for one searched field, over its whole range: logarithmic where the search is, categories in order."""
    axis: dict[str, Any] = {"title": {"text": escape(field.name)}, "zeroline": False}
    if field.kind == "categorical":
        names = list(field.choices)
        ticks = {"tickvals": names, "ticktext": [tick(name) for name in names]}
        return axis | {"type": "category", "categoryarray": names} | ticks
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
    marks = [step * float(f"1e{power}") for power in powers for step in steps]
    inside = [mark for mark in marks if low * (1 - 1e-9) <= mark <= high * (1 + 1e-9)]
    return {"tickvals": inside, "ticktext": [f"{mark:g}" for mark in inside]}


def tick(text: str) -> str:
    """A name at an axis: as much of a long one as leaves room for the figure."""
    return escape(text if len(text) <= LONGEST_TICK else f"{text[: LONGEST_TICK - 1]}…")


def escape(text: str) -> str:
    """Plotly reads `<b>`, `<a href>` and the like in labels; a name is text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
