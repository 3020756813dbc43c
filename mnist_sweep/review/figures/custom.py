"""The charts of `wandb.plot`, drawn from their tables.

A run only records which of W&B's chart definitions draws which columns. The definitions are on W&B's servers, so the
common ones are drawn here as the client's documentation describes them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mnist_sweep.review.figures.confusion import confusion_matrix
from mnist_sweep.review.figures.style import Figure, escape, layout, titled_axes
from mnist_sweep.review.mistakes import confusion_from_table
from mnist_sweep.review.palette import SERIES

Columns = Mapping[str, Sequence[Any]]
"""The values of the column behind each field of the definition."""
HEIGHT = 320


def custom_chart(chart: Any, table: Mapping[str, Any]) -> Figure | None:
    """Return the figure of a chart over its table (`columns`, `data`), or None for an unknown definition."""
    config = chart.get("panel_config") if isinstance(chart, Mapping) else None
    if not isinstance(config, Mapping):
        return None
    draw = _DRAWN.get(str(config.get("panelDefId", "")).rsplit("/v", 1)[0])
    names, data = table.get("columns"), table.get("data")
    fields, words = config.get("fieldSettings"), config.get("stringSettings")
    if draw is None or not isinstance(names, list) or not isinstance(data, list) or not isinstance(fields, Mapping):
        return None
    places = {field: names.index(name) for field, name in fields.items() if name in names}
    texts = {key: str(text) for key, text in words.items() if text} if isinstance(words, Mapping) else {}
    try:
        columns = {field: [row[place] for row in data] for field, place in places.items()}
        figure = draw(columns, {field: str(name) for field, name in fields.items()} | texts)
    except (KeyError, TypeError, ValueError, IndexError):
        return None  # the table lacks what the definition needs
    title = {"text": escape(texts["title"]), "x": 0.02, "font": {"size": 13}} if "title" in texts else None
    figure["layout"] |= {"title": title, "margin": figure["layout"]["margin"] | {"t": 40}} if title else {}
    return figure


def _line(columns: Columns, names: Mapping[str, str]) -> Figure:
    return _lines(columns["x"], columns["y"], columns.get("stroke"), names["x"], names["y"])


def _series(columns: Columns, names: Mapping[str, str]) -> Figure:
    return _lines(columns["step"], columns["lineVal"], columns["lineKey"], names.get("xname", "x"), "")


def _curve(columns: Columns, names: Mapping[str, str]) -> Figure:
    x, y = names.get("x-axis-title", names["x"]), names.get("y-axis-title", names["y"])
    figure = _lines(columns["x"], columns["y"], columns.get("class"), x, y)
    if all(0 <= share <= 1 for share in columns["y"]):
        figure["layout"]["yaxis"]["range"] = [-0.03, 1.03]
    return figure


def _scatter(columns: Columns, names: Mapping[str, str]) -> Figure:
    trace = {"type": "scatter", "mode": "markers", "x": columns["x"], "y": columns["y"]}
    return _figure([trace | {"marker": {"color": SERIES[0]}}], names["x"], names["y"])


def _bar(columns: Columns, names: Mapping[str, str]) -> Figure:
    labels = [escape(str(label)) for label in columns["label"]]
    trace = {"type": "bar", "orientation": "h", "x": columns["value"], "y": labels, "marker": {"color": SERIES[0]}}
    figure = _figure([trace], names["value"], "")
    figure["layout"]["yaxis"] |= {"type": "category", "autorange": "reversed"}
    return figure


def _histogram(columns: Columns, names: Mapping[str, str]) -> Figure:
    trace = {"type": "histogram", "x": columns["value"], "marker": {"color": SERIES[0]}}
    return _figure([trace], names["value"], "count")


def _confusion(columns: Columns, names: Mapping[str, str]) -> Figure:
    rows = zip(columns["Actual"], columns["Predicted"], columns["nPredictions"], strict=True)
    found = confusion_from_table({"columns": ["label", "prediction", "count"], "data": [list(row) for row in rows]})
    if found is None:
        raise ValueError("an empty table")
    return confusion_matrix(found)


def _lines(x: Sequence[Any], y: Sequence[Any], keys: Sequence[Any] | None, x_name: str, y_name: str) -> Figure:
    """Return a line for each key, or one line without keys."""
    lines: dict[str, tuple[list[Any], list[Any]]] = {}
    for i, (at, value) in enumerate(zip(x, y, strict=True)):
        xs, ys = lines.setdefault(str(keys[i]) if keys else "", ([], []))
        xs.append(at)
        ys.append(value)
    traces = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": escape(key),
            "x": xs,
            "y": ys,
            "line": {"color": SERIES[i % len(SERIES)], "width": 2},
        }
        for i, (key, (xs, ys)) in enumerate(lines.items())
    ]
    figure = _figure(traces, x_name, y_name)
    figure["layout"]["showlegend"] = len(lines) > 1
    return figure


def _figure(traces: list[dict[str, Any]], x: str, y: str) -> Figure:
    return {"data": traces, "layout": layout(height=HEIGHT, **titled_axes(x, y))}


_DRAWN: dict[str, Callable[[Columns, Mapping[str, str]], Figure]] = {
    "wandb/line": _line,
    "wandb/lineseries": _series,
    "wandb/area-under-curve": _curve,
    "wandb/scatter": _scatter,
    "wandb/bar": _bar,
    "wandb/histogram": _histogram,
    "wandb/confusion_matrix": _confusion,
}
