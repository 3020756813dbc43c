"""The metric against size: who is on the front, and where the limit is."""

from __future__ import annotations

from typing import Any

from mnist_sweep.review.figures.style import Figure, colour_range, escape, layout, metric_axis, metric_margin
from mnist_sweep.review.palette import BEST, GREY, STATES
from mnist_sweep.review.ranking import Ranking
from mnist_sweep.review.status import Status


def tradeoff(ranking: Ranking) -> Figure | None:
    """The metric against size, the front as steps, the limit as a line; None where no ranked run has a size.

    Infeasible runs have no metric: they are marked on the lower edge, at their size.
    """
    words = ranking.presentation
    trials = [trial for trial in ranking.ranked if trial.size is not None]
    if not trials:
        return None
    values = [trial.value for trial in trials]
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "line": {"shape": "hv", "color": BEST, "width": 1.5},
            "x": [trial.size for trial in ranking.front],
            "y": [trial.value for trial in ranking.front],
            "hoverinfo": "skip",
        },
        {
            "type": "scatter",
            "mode": "markers",
            "x": [trial.size for trial in trials],
            "y": values,
            "text": [escape(trial.label) for trial in trials],
            "ids": [trial.id for trial in trials],
            "marker": {
                "size": 8,
                "color": values,
                "coloraxis": "coloraxis",
                "line": {"width": 0.5, "color": GREY},
            },
            "hovertemplate": f"%{{text}}<br>%{{x:,}} {escape(words.size)}<br>{words.hover_format}<extra></extra>",
        },
    ]
    shape = layout(
        margin=metric_margin(ranking, values, t=26),
        xaxis={"title": {"text": escape(words.size)}, "zeroline": False, "tickformat": ","},
        yaxis=metric_axis(ranking, values),
        coloraxis=colour_range(values, ranking.info.goal),
    )
    if refused := _refused(ranking):
        data.append(refused)
        shape["yaxis2"] = {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}
    if words.limit is not None:
        line = {"type": "line", "x0": words.limit, "x1": words.limit, "y0": 0, "y1": 1, "yref": "paper"}
        shape["shapes"] = [line | {"line": {"dash": "dot", "width": 1.5, "color": GREY}}]
        text = {"text": f"at most {words.limit:,.6g} ", "showarrow": False, "xanchor": "right", "yanchor": "bottom"}
        shape["annotations"] = [{"x": words.limit, "y": 1, "yref": "paper"} | text]
    return {"data": data, "layout": shape}


def _refused(ranking: Ranking) -> dict[str, Any] | None:
    over = [t for t in ranking.trials if t.status is Status.INFEASIBLE and t.size is not None]
    if not over:
        return None
    colour = STATES[Status.INFEASIBLE].light
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [trial.size for trial in over],
        "y": [0.02] * len(over),
        "yaxis": "y2",
        "text": [escape(f"{trial.label}: {trial.reason}") for trial in over],
        "marker": {"symbol": "x-thin-open", "size": 8, "color": colour, "line": {"width": 1.5}},
        "hovertemplate": "%{text}<extra>refused</extra>",
    }
