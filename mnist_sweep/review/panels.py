"""The panels of a W&B report, drawn from plain records.

A panel is a view type with settings, as `wandb_workspaces` writes them into a report. The accessors `config:a.value.b`
and `summary:loss` in the settings name a run's configuration and its results.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mnist_sweep.review import figures
from mnist_sweep.review.fields import observed_fields
from mnist_sweep.review.figures.style import escape, layout, titled_axes
from mnist_sweep.review.importance import Sample, measure
from mnist_sweep.review.palette import SERIES, run_colour
from mnist_sweep.review.project_page import curves
from mnist_sweep.review.ranking import Ranking, rank
from mnist_sweep.review.records import STEP, RunRecord, SweepInfo, number
from mnist_sweep.search.goal import Goal

Settings = Mapping[str, Any]
Drawn = dict[str, Any]
"""A `figure`, or the `columns` and `rows` of a table, or a `text`; with a `title`."""
LINE_PLOT = "Run History Line Plot"
"""The only kind that needs histories."""
LINES = 10
"""Runs in a line plot without a number of runs, as in W&B."""
COMPARED = 12
_TIMES = {"_step": STEP, "Step": STEP, "_absolute_runtime": "_runtime", "_runtime": "_runtime"}


def draw(kind: str, settings: Settings, records: Sequence[RunRecord], goal: Goal) -> Drawn:
    """Return what a panel shows of these runs, in their order. `goal` is used by panels that rank the runs.

    A panel of an unknown kind, or with nothing to draw, becomes a text that says so.
    """
    title = str(settings.get("chartTitle") or "")
    if kind not in _DRAWERS:
        return {"title": title or kind, "text": f"{kind}: this server does not draw such panels."}
    found = _DRAWERS[kind](settings, records, goal)
    return {"title": title or kind} | (found or {"text": f"{kind}: these runs have nothing to draw."})


def value(record: RunRecord, name: str) -> Any:
    """Return the run's value for an accessor (`config:…`, `summary:…`, `run:…`), or None."""
    section, _, key = name.rpartition(":") if ":" in name else ("summary", "", name)
    if section == "config":
        first, *rest = key.split(".")
        return record.config.get(".".join([first, *(rest[1:] if rest[:1] == ["value"] else rest)]))
    if section == "run":
        return {"name": record.id, "displayName": record.label, "group": record.group, "state": record.state}.get(key)
    return record.summary.get(key)


def _lines(settings: Settings, records: Sequence[RunRecord], _: Goal) -> Drawn | None:
    metrics = [str(metric) for metric in settings.get("metrics") or ()]
    asked = str(settings.get("xAxis") or STEP)
    axis = _TIMES.get(asked, asked)
    limit = settings.get("limit")
    runs = records[: limit if isinstance(limit, int) and limit > 0 else LINES]
    traces: list[Drawn] = []
    for metric in metrics:
        points = curves(runs, metric, axis)
        for record in runs:
            if len(points.get(record.id, {"x": []})["x"]) > 1:
                name = record.label if len(metrics) == 1 else f"{record.label} {metric}"
                colour = run_colour(record.number) if len(metrics) == 1 else SERIES[len(traces) % len(SERIES)]
                line = {"color": colour, "width": 1.5}
                y = _smoothed(points[record.id]["y"], number(settings.get("smoothingWeight")) or 0.0)
                shape = {"type": "scatter", "mode": "lines", "name": escape(name), "line": line}
                traces.append(shape | {"x": points[record.id]["x"], "y": y})
    return _chart(traces, settings, asked, ", ".join(metrics))


def _scatter(settings: Settings, records: Sequence[RunRecord], _: Goal) -> Drawn | None:
    x, y = (str(settings.get(axis) or "") for axis in ("xAxis", "yAxis"))
    pairs = [(value(record, x), value(record, y), escape(record.label)) for record in records]
    known = [pair for pair in pairs if pair[0] is not None and number(pair[1]) is not None]
    if not known:
        return None
    xs, ys, names = zip(*known, strict=True)
    trace = {"type": "scatter", "mode": "markers", "x": xs, "y": ys, "text": names, "marker": {"color": SERIES[0]}}
    return _chart([trace], settings, _label(x), _label(y))


def _bars(settings: Settings, records: Sequence[RunRecord], _: Goal) -> Drawn | None:
    metrics = [str(metric) for metric in settings.get("metrics") or ()]
    traces: list[Drawn] = []
    for i, metric in enumerate(metrics):
        bars = [(escape(record.label), value(record, metric)) for record in records]
        known = [(name, height) for name, height in bars if number(height) is not None]
        if known:
            names, heights = zip(*known, strict=True)
            colour = {"color": SERIES[i % len(SERIES)]}
            bar = {"type": "bar", "orientation": "h", "name": escape(metric), "marker": colour}
            traces.append(bar | {"x": heights, "y": names})
    return _chart(traces, settings, ", ".join(metrics), "")


def _parallel(settings: Settings, records: Sequence[RunRecord], goal: Goal) -> Drawn | None:
    columns = [column for column in settings.get("columns") or () if isinstance(column, Mapping)]
    names = [str(column.get("accessor") or "") for column in columns]
    if len(names) < 2:
        return None
    given = [replace(record, config={_label(name): value(record, name) for name in names[:-1]}) for record in records]
    logarithmic = {_label(str(column.get("accessor"))) for column in columns if column.get("log")}
    figure = figures.parallel_coordinates(_ranked(given, names[-1], goal, logarithmic))
    return {"parallel": figure} if figure else None


def _importance(settings: Settings, records: Sequence[RunRecord], goal: Goal) -> Drawn | None:
    target = str(settings.get("targetKey") or "")
    figure = figures.importance_bars(measure(Sample.of(_ranked(records, target, goal))))
    return {"figure": figure} if figure else None


def _comparer(settings: Settings, records: Sequence[RunRecord], _: Goal) -> Drawn | None:
    runs = records[:COMPARED]
    parts = [("config", [dict(run.config) for run in runs]), ("summary", [dict(run.summary) for run in runs])]
    rows = []
    for section, values_by_run in parts:
        for key in dict.fromkeys(key for values in values_by_run for key in values if not key.startswith("_")):
            cells = [values.get(key) for values in values_by_run]
            if not settings.get("diffOnly") or any(cell != cells[0] for cell in cells):
                rows.append([f"{section}: {key}", *cells])
    return {"columns": ["", *(run.label for run in runs)], "rows": rows} if rows else None


def _scalar(settings: Settings, records: Sequence[RunRecord], _: Goal) -> Drawn | None:
    metric = str(next(iter(settings.get("metrics") or ()), ""))
    known = [found for record in records if (found := number(value(record, metric))) is not None]
    return {"text": f"{_label(metric)}: {known[0]:.6g} (the first of {len(known)} runs)"} if known else None


def _ranked(
    records: Sequence[RunRecord], metric: str, goal: Goal, logarithmic: Collection[str] = frozenset()
) -> Ranking:
    fields = tuple(replace(field, log=field.name in logarithmic) for field in observed_fields(records))
    return rank(SweepInfo(id="", metric=_label(metric), goal=goal, fields=fields), records)


def _chart(traces: Sequence[Drawn], settings: Settings, x: str, y: str) -> Drawn | None:
    if not traces:
        return None
    axes = titled_axes(x.removeprefix("_"), y)
    for letter in "xy":
        if settings.get(f"{letter}LogScale") or settings.get(f"{letter}AxisLogScale"):
            axes[f"{letter}axis"]["type"] = "log"
    return {"figure": {"data": list(traces), "layout": layout(height=320, showlegend=1 < len(traces) <= 12, **axes)}}


def _label(name: str) -> str:
    """Return an accessor for people: `config:a.value.b` is `a.b`."""
    section, _, key = name.rpartition(":")
    first, *rest = key.split(".")
    return ".".join([first, *(rest[1:] if section == "config" and rest[:1] == ["value"] else rest)])


def _smoothed(values: Sequence[float | None], weight: float) -> list[float | None]:
    """Return the exponential moving mean, corrected for its start. `weight` is at least 0 and below 1."""
    if not 0 < weight < 1:
        return list(values)
    mean = total = 0.0
    found: list[float | None] = []
    for one in values:
        if one is not None:
            mean, total = weight * mean + (1 - weight) * one, weight * total + (1 - weight)
        found.append(mean / total if one is not None else None)
    return found


_DRAWERS: dict[str, Callable[[Settings, Sequence[RunRecord], Goal], Drawn | None]] = {
    LINE_PLOT: _lines,
    "Scatter Plot": _scatter,
    "Bar Chart": _bars,
    "Parallel Coordinates Plot": _parallel,
    "Parameter Importance": _importance,
    "Run Comparer": _comparer,
    "Scalar Chart": _scalar,
}
