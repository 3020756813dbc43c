"""The metric against size, or one objective against the other: the front and the limit."""

from typing import Any

from mnist_sweep.review.figures.style import (
    Figure,
    colour_range,
    escape,
    layout,
    metric_axis,
    metric_margin,
    outside_note,
    whole_ticks,
)
from mnist_sweep.review.palette import BEST, GREY, STATES
from mnist_sweep.review.ranking import Ranking
from mnist_sweep.review.status import Status


def tradeoff(ranking: Ranking) -> Figure | None:
    """Return the metric against size with the front as steps and the limit as a line; None if no ranked run has a size.

    Infeasible runs have no metric, so they are marked at the lower edge.
    """
    presentation, hover_format = ranking.presentation, ranking.presentation.hover_format
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
            "hovertemplate": f"%{{text}}<br>%{{x:,}} {escape(presentation.size)}<br>{hover_format}<extra></extra>",
        },
    ]
    axis = metric_axis(ranking, values)
    if span := axis.get("range"):  # the whole front stays in view
        front, margin = [trial.value for trial in ranking.front], 0.06 * (span[1] - span[0])
        axis["range"] = [min(span[0], min(front) - margin), max(span[1], max(front) + margin)]
    size_axis = {"title": {"text": escape(presentation.size)}, "zeroline": False, "tickformat": ","}
    refused = _refused(ranking)
    size_axis |= whole_ticks(
        [*(trial.size for trial in trials), presentation.limit, *(refused["x"] if refused else ())]
    )
    if presentation.size_fraction:
        size_axis["tickformat"] = ".2%"
    shape = layout(
        margin=metric_margin(ranking, values, t=26),
        xaxis=size_axis,
        yaxis=axis,
        annotations=outside_note(axis, values, "runs outside"),
        coloraxis=colour_range(values, ranking.info.goal),
    )
    if refused:
        data.append(refused)
        shape["yaxis2"] = {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}
    if presentation.limit is not None:
        line = {"type": "line", "x0": presentation.limit, "x1": presentation.limit, "y0": 0, "y1": 1, "yref": "paper"}
        shape["shapes"] = [line | {"line": {"dash": "dot", "width": 1.5, "color": GREY}}]
        text = {
            "text": f"at most {presentation.limit:,.6g} ",
            "showarrow": False,
            "xanchor": "right",
            "yanchor": "bottom",
        }
        shape["annotations"].append({"x": presentation.limit, "y": 1, "yref": "paper"} | text)
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
