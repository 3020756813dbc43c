"""How a sweep improved: the best value so far, and learning curves."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mnist_sweep.review.figures.style import (
    ABOVE,
    MARGIN,
    Figure,
    escape,
    label_margin,
    layout,
    metric_axis,
    metric_margin,
    outside_note,
    x_axis,
)
from mnist_sweep.review.palette import ACCENT, BEST, FAINT, GREY, run_colour
from mnist_sweep.review.presentation import Presentation, is_fraction
from mnist_sweep.review.ranking import Ranking, Trial
from mnist_sweep.review.records import RunRecord, number
from mnist_sweep.review.statistics import expected_best
from mnist_sweep.review.status import Status
from mnist_sweep.search.goal import Goal

TOP_CURVES = 8
MAX_POINTS = 200
Points = dict[str, list[float | None]]


def best_so_far(ranking: Ranking, random: Sequence[float] = ()) -> Figure | None:
    """Return every trial's value and the best one so far over the number of trials; None with nothing ranked.

    Infeasible and failed trials count, because each cost a suggestion. `random` has the values of a random search.
    Their order means nothing, so they are drawn as the median and the 10–90 % band of the best of n of them.
    """
    points, hover_format = ranking.progress, ranking.presentation.hover_format
    if not points:
        return None
    data = _random_band(random, ranking.info.goal)
    data += [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "a trial",
            "x": [point.number for point in points],
            "y": [point.trial.value for point in points],
            "text": [escape(point.trial.label) for point in points],
            "ids": [point.trial.id for point in points],
            "marker": {"size": 6, "color": FAINT, "line": {"width": 1, "color": ACCENT}},
            "hovertemplate": f"trial %{{x}}: %{{text}}<br>{hover_format}<extra></extra>",
        },
        {
            "type": "scatter",
            "mode": "lines",
            "name": "best so far",
            "x": [*(point.number for point in points), len(ranking.ended)],
            "y": [*(point.best for point in points), points[-1].best],
            "line": {"shape": "hv", "color": BEST, "width": 2.5},
            "hovertemplate": f"best of %{{x}}: {hover_format}<extra></extra>",
        },
    ]
    axis = metric_axis(ranking, [*ranking.values, *random])
    shape = layout(
        margin=metric_margin(ranking, ranking.values, t=ABOVE if random else MARGIN["t"]),
        xaxis=x_axis("trials", [0, len(ranking.ended)], rangemode="tozero"),
        yaxis=axis,
        annotations=outside_note(axis, ranking.values, "trials outside"),
        showlegend=bool(random),
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    )
    return {"data": data, "layout": shape}


def _random_band(values: Sequence[float], goal: Goal) -> list[dict[str, Any]]:
    if not values:
        return []
    x = list(range(1, len(values) + 1))
    edge = {"type": "scatter", "mode": "lines", "x": x, "hoverinfo": "skip", "showlegend": False}
    return [
        edge | {"y": expected_best(values, 0.1, goal), "line": {"width": 0}},
        edge | {"y": expected_best(values, 0.9, goal), "line": {"width": 0}, "fill": "tonexty", "fillcolor": FAINT},
        edge
        | {
            "y": expected_best(values, 0.5, goal),
            "name": f"random search ({len(values)} trials, median and 10–90 %)",
            "line": {"color": GREY, "dash": "dash", "width": 2},
            "showlegend": True,
        },
    ]


def curve_points(record: RunRecord, metric: str, presentation: Presentation) -> Points:
    """Return a run's curve: x, metric and learning rate (if any), at most `MAX_POINTS` of each, evenly sampled."""
    rows = [row for row in record.history if number(row.get(metric)) is not None]
    if len(rows) > MAX_POINTS:
        places = np.linspace(0, len(rows) - 1, MAX_POINTS).round().astype(int)
        rows = [rows[place] for place in places]
    columns = {"x": presentation.axis, "y": metric} | ({"rate": presentation.rate} if presentation.rate else {})
    return {column: [number(row.get(key)) for row in rows] for column, key in columns.items()}


def all_points(ranking: Ranking) -> dict[str, Points]:
    """Return by run the curves that `learning_curves` draws."""
    metric = ranking.presentation.proxy_metric or ranking.info.metric
    return {trial.id: curve_points(trial.record, metric, ranking.presentation) for trial in ranking.trials}


def learning_curves(ranking: Ranking, points: Mapping[str, Points] | None = None) -> Figure | None:
    """Return the metric over the x axis, with the learning rate below; None if no run logged its metric twice.

    The best runs are in colour, all others in grey. If runs log the metric only at their end, the curves are those of
    `Presentation.proxy_metric`. Each trace's `meta` says which runs it joins (`runs`) and which of their columns it
    draws (`column`), so that a page can fill it again from newer points. `points` may pass in `all_points`.
    """
    points = points or all_points(ranking)
    ranking = _drawn(ranking)
    info, presentation = ranking.info, ranking.presentation
    drawn = [trial for trial in ranking.trials if points[trial.id]["x"]]
    if not any(len(points[trial.id]["x"]) > 1 for trial in drawn):
        return None
    top = [trial for trial in ranking.ranked if points[trial.id]["x"]][:TOP_CURVES]
    live = [trial for trial in drawn if trial.status is Status.RUNNING]
    apart = {trial.id for trial in (*top, *live)}
    rest = [trial for trial in drawn if trial.id not in apart]
    columns = ["y", "rate"] if presentation.rate else ["y"]
    data: list[dict[str, Any]] = []
    if rest:
        data += _curves(rest, points, columns, {"color": FAINT, "width": 1}, hover=False)
    for trial in live:
        line = {"color": run_colour(trial.record.number), "width": 2, "dash": "dot"}
        data += _curves([trial], points, columns, line)
    for best in reversed(top):
        data += _curves([best], points, columns, {"color": run_colour(best.record.number), "width": 2})
    tails = [points[trial.id]["y"][-1:] for trial in rest]
    # More than the ends of the best runs: with few others, these would cut off nearly all of each curve.
    tails += [(curve := points[trial.id]["y"])[len(curve) // 3 :] for trial in top]
    heights = [y for tail in tails for y in tail if y is not None]
    known = [[y for y in curve["y"] if y is not None] for curve in points.values()]
    seen = [y for curve in known for y in curve]
    farthest = [{max(curve, key=info.goal.to_loss)} for curve in known if curve]
    if len(heights) > 1:  # a run need not end at its best
        heights.append(min(seen, key=info.goal.to_loss))
    axis = metric_axis(ranking, heights)
    shape = layout(
        margin=metric_margin(ranking, heights, r=label_margin((trace["name"] for trace in data), 60) if top else 16),
        xaxis=x_axis(presentation.axis, [x for curve in points.values() for x in curve["x"]]),
        yaxis=axis,
        annotations=outside_note(axis, [y for one in farthest for y in one], "curves partly outside", yref="y domain"),
        showlegend=bool(top),
        legend={"orientation": "v", "x": 1.01, "y": 1, "traceorder": "reversed"},
        height=520 if presentation.rate else 420,
    )
    if presentation.rate:
        shape["xaxis"]["anchor"] = "y2"
        shape["yaxis"]["domain"] = [0.36, 1.0]
        shape["yaxis2"] = {
            "title": {"text": escape(presentation.rate), "standoff": 14},
            "domain": [0.0, 0.26],
            "rangemode": "tozero",
            "zeroline": False,
            "automargin": True,
        }
    return {"data": data, "layout": shape}


def _drawn(ranking: Ranking) -> Ranking:
    """Return the ranking with its metric replaced by the one whose curves are drawn."""
    metric = ranking.presentation.proxy_metric
    if not metric:
        return ranking
    presentation = replace(ranking.presentation, fraction=is_fraction(metric, ()))
    return replace(ranking, info=replace(ranking.info, metric=metric), presentation=presentation)


def _curves(
    trials: Sequence[Trial],
    points: Mapping[str, Points],
    columns: Sequence[str],
    line: dict[str, Any],
    hover: bool = True,
) -> list[dict[str, Any]]:
    ids = [trial.id for trial in trials]
    name = escape(trials[0].label) if len(trials) == 1 else f"{len(trials)} others"
    traces = []
    for column in columns:
        trace: dict[str, Any] = {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "yaxis": "y2" if column == "rate" else "y",
            "line": line,
            "meta": {"runs": ids, "column": column},
            "showlegend": column == "y",
            "legendgroup": "|".join(ids[:1]),
        }
        trace |= {"x": _joined(ids, points, "x"), "y": _joined(ids, points, column)}
        if not hover:
            trace["hoverinfo"] = "none"  # no label, but the page still highlights the run
        traces.append(trace)
    return traces


def _joined(ids: Sequence[str], points: Mapping[str, Points], column: str) -> list[float | None]:
    """Return many curves as one trace with gaps, because 1,000 traces would take a browser seconds."""
    values: list[float | None] = []
    for run in ids:
        values += points[run][column]
        values.append(None)
    return values[:-1]
