"""The panels of a report, from settings as `wandb_workspaces` writes them."""

from typing import Any

import plotly.graph_objects as go
import pytest

from mnist_sweep.review.panels import COMPARED, draw, value
from mnist_sweep.review.records import RunRecord
from mnist_sweep.search.goal import Goal
from tests.review import synthetic

RUNS = synthetic.sweep(20)
PANELS: dict[str, dict[str, Any]] = {
    "Run History Line Plot": {"metrics": ["val/accuracy", "val/loss"], "xAxis": "epoch", "limit": 3, "yLogScale": True},
    "Scatter Plot": {"xAxis": "config:max_lr.value", "yAxis": "summary:val/accuracy", "xAxisLogScale": True},
    "Bar Chart": {"metrics": ["summary:val/accuracy"]},
    "Parallel Coordinates Plot": {
        "columns": [
            {"accessor": "config:max_lr.value", "log": True},
            {"accessor": "config:dropout.value"},
            {"accessor": "summary:val/accuracy"},
        ]
    },
    "Parameter Importance": {"targetKey": "val/accuracy"},
}


@pytest.mark.parametrize("kind", PANELS)
def test_panels_are_figures_that_plotly_takes(kind: str) -> None:
    drawn = draw(kind, PANELS[kind] | {"chartTitle": "A title"}, RUNS, Goal.MAXIMIZE)
    assert drawn["title"] == "A title"
    go.Figure(drawn.get("figure") or drawn["parallel"])


def test_a_line_plot_draws_as_many_runs_as_it_says_over_its_axis() -> None:
    logged = [run for run in RUNS if len(run.history) > 1]
    figure = draw("Run History Line Plot", PANELS["Run History Line Plot"], logged, Goal.MAXIMIZE)["figure"]
    assert [trace["name"] for trace in figure["data"]] == [f"{run.label} val/accuracy" for run in logged[:3]]
    assert figure["data"][0]["x"][:3] == [1, 2, 3]
    assert (figure["layout"]["xaxis"]["title"]["text"], figure["layout"]["yaxis"]["type"]) == ("epoch", "log")


def test_smoothing_keeps_constants_and_gaps() -> None:
    rows = [{"_step": i, "a": 2.0} for i in range(5)]
    settings = {"metrics": ["a"], "smoothingWeight": 0.9}
    (trace,) = draw("Run History Line Plot", settings, [RunRecord(id="r", history=rows)], Goal.MINIMIZE)["figure"][
        "data"
    ]
    assert trace["y"] == pytest.approx([2.0] * 5)


def test_the_comparer_shows_what_differs() -> None:
    runs = [
        RunRecord(id="a", config={"k": 1, "same": 0}, summary={"x": 1.0}),
        RunRecord(id="b", config={"k": 2, "same": 0}),
    ]
    table = draw("Run Comparer", {"diffOnly": True}, runs, Goal.MINIMIZE)
    assert table["columns"] == ["", "a", "b"]
    assert table["rows"] == [["config: k", 1, 2], ["summary: x", 1.0, None]]
    assert len(draw("Run Comparer", {}, runs, Goal.MINIMIZE)["rows"]) == 3
    assert len(draw("Run Comparer", {}, RUNS, Goal.MINIMIZE)["columns"]) == COMPARED + 1


def test_accessors_name_nested_values() -> None:
    record = RunRecord(id="r", name="n", config={"a.b": 3, "lr": 0.1}, summary={"loss": 1.0}, group="g")
    names = ("config:a.value.b", "config:a.b", "config:lr.value", "summary:loss", "loss", "run:group", "config:nope")
    assert [value(record, name) for name in names] == [3, 3, 0.1, 1.0, 1.0, "g", None]


def test_what_is_not_drawn_says_so() -> None:
    assert "does not draw" in draw("Weave Plot", {}, RUNS, Goal.MINIMIZE)["text"]
    for kind in PANELS:
        assert "nothing to draw" in draw(kind, {"columns": "x", "metrics": []}, [], Goal.MINIMIZE)["text"]
