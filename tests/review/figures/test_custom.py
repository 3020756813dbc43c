"""The charts of `wandb.plot`, as the client describes them, drawn from their tables."""

from typing import Any

import plotly.graph_objects as go
import pytest
import wandb

from mnist_sweep.review.figures import custom_chart

TABLE = wandb.Table(["x", "y", "k"], [[1, 2.0, "a"], [2, 3.0, "b"], [3, 5.0, "a"]])
CHARTS: dict[str, Any] = {
    "line": wandb.plot.line(TABLE, "x", "y", stroke="k", title="<b>"),
    "scatter": wandb.plot.scatter(TABLE, "x", "y"),
    "bar": wandb.plot.bar(TABLE, "k", "y"),
    "histogram": wandb.plot.histogram(TABLE, "y"),
    "series": wandb.plot.line_series(xs=[1, 2], ys=[[3, 4], [5, 6]], keys=["one", "two"], xname="time"),
    "confusion": wandb.plot.confusion_matrix(y_true=[0, 1], preds=[1, 1], class_names=["no", "yes"]),
    "curve": wandb.plot_table("wandb/area-under-curve/v0", TABLE, {"x": "x", "y": "y", "class": "k"}),
}  # fmt: skip


def table(chart: Any) -> dict[str, Any]:
    return {"columns": chart.table.columns, "data": chart.table.data}


@pytest.mark.parametrize("name", CHARTS)
def test_the_clients_own_charts_are_drawn(name: str) -> None:
    chart = CHARTS[name]
    chart.set_key(name)
    figure = custom_chart(chart.spec.config_value, table(chart))
    assert figure is not None
    go.Figure(figure)  # Plotly's own check


def test_lines_by_key_and_titles_that_are_text() -> None:
    figure = custom_chart(CHARTS["line"].spec.config_value, table(CHARTS["line"]))
    assert figure is not None
    assert [(trace["name"], trace["x"], trace["y"]) for trace in figure["data"]] == [
        ("a", [1, 3], [2.0, 5.0]),
        ("b", [2], [3.0]),
    ]
    assert figure["layout"]["title"]["text"] == "&lt;b&gt;"


def test_what_is_not_known_or_does_not_fit_is_no_figure() -> None:
    known = CHARTS["bar"].spec.config_value
    strange = {"panel_config": known["panel_config"] | {"panelDefId": "somebody/own/v0"}}
    for chart, columns in ((strange, ["k", "y"]), (known, ["other"]), (None, ["k"]), ({}, ["k"])):
        assert custom_chart(chart, {"columns": columns, "data": [[1, 2]]}) is None
    assert custom_chart(known, {"columns": ["k", "y"], "data": [["a"]]}) is None  # a row too short


def traces(name: str) -> list[dict[str, Any]]:
    figure = custom_chart(CHARTS[name].spec.config_value, table(CHARTS[name]))
    assert figure is not None
    data: list[dict[str, Any]] = figure["data"]
    return data


def test_each_chart_draws_the_values_of_its_columns() -> None:
    assert [(trace["name"], trace["x"], trace["y"]) for trace in traces("series")] == [
        ("one", [1, 2], [3, 4]),
        ("two", [1, 2], [5, 6]),
    ]
    (points,) = traces("scatter")
    assert (points["mode"], points["x"], points["y"]) == ("markers", [1, 2, 3], [2.0, 3.0, 5.0])
    (bars,) = traces("bar")
    assert (bars["orientation"], bars["x"], bars["y"]) == ("h", [2.0, 3.0, 5.0], ["a", "b", "a"])
    (histogram,) = traces("histogram")
    assert (histogram["type"], histogram["x"]) == ("histogram", [2.0, 3.0, 5.0])
    _, counts = traces("confusion")
    found = dict(zip(zip(counts["y"], counts["x"], strict=True), counts["text"], strict=True))
    assert (found["no", "yes"], found["yes", "yes"]) == ("1", "1")


def test_axes_have_the_names_of_the_columns_or_those_that_were_given() -> None:
    def axes(name: str) -> tuple[str, str]:
        figure = custom_chart(CHARTS[name].spec.config_value, table(CHARTS[name]))
        assert figure is not None
        return figure["layout"]["xaxis"]["title"]["text"], figure["layout"]["yaxis"]["title"]["text"]

    assert axes("line") == ("x", "y")
    assert axes("histogram") == ("y", "count")
    assert axes("series")[0] == "time"


@pytest.mark.parametrize(("values", "bounded"), [([0.0, 0.5, 1.0], True), ([0.0, 0.5, 1.5], False)])
def test_a_curve_of_shares_has_an_axis_from_0_to_1(values: list[float], bounded: bool) -> None:
    chart = wandb.plot_table("wandb/area-under-curve/v0", TABLE, {"x": "x", "y": "y"})
    chart.set_key("curve")
    rows = {"columns": ["x", "y"], "data": [[i, value] for i, value in enumerate(values)]}
    figure = custom_chart(chart.spec.config_value, rows)
    assert figure is not None
    assert figure["layout"]["yaxis"].get("range") == ([-0.03, 1.03] if bounded else None)
