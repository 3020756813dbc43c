"""What a run logged beside numbers, from rows as the client writes them."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import pytest
import wandb

from mnist_sweep.review.figures import custom_chart
from mnist_sweep.review.media import ENTRIES, SUMMARY, logged
from mnist_sweep.review.records import RunRecord

IMAGE = {"_type": "image-file", "path": "media/images/a.png", "caption": "c"}


def test_entries_by_key_and_step() -> None:
    record = RunRecord(id="r", summary={"last": IMAGE, "a": IMAGE, "x": 1}, step_metrics={"a": "epoch"})
    many = {"_type": "images/separated", "filenames": ["p", "q"], "captions": ["one"]}
    found = logged(
        record, [(3, {"a": IMAGE, "epoch": 7, "_step": 9}), (5, {"a": many, "n": {"b": IMAGE}, "_step": 11})], {}, {}
    )
    assert list(found) == ["a", "n.b", "last"]
    first, second = found["a"]["entries"]
    assert first == {"line": 3, "key": "a", "at": "epoch 7", "items": [{"path": "media/images/a.png", "caption": "c"}]}
    assert second["at"] == "epoch 11"  # without its step metric, the step
    assert second["items"] == [{"path": "p", "caption": "one"}, {"path": "q", "caption": ""}]
    assert found["n.b"]["entries"][0]["at"] == "step 11"
    assert found["last"]["entries"][0]["line"] == SUMMARY


def test_histograms_have_edges_and_unknown_types_are_files() -> None:
    packed = {"_type": "histogram", "values": [1, 2], "packedBins": {"min": 0, "size": 0.5, "count": 2}}
    rows = [(0, {"h": packed, "o": {"_type": "molecule-file", "path": "m.pdb"}})]
    found = logged(RunRecord(id="r"), rows, {}, {})
    assert found["h"]["entries"][0]["bins"] == [0, 0.5, 1]
    assert found["o"]["kind"] == "file"


def test_long_runs_are_thinned_out_evenly() -> None:
    found = logged(RunRecord(id="r"), [(i, {"a": IMAGE, "_step": i}) for i in range(5 * ENTRIES)], {}, {})
    lines = [entry["line"] for entry in found["a"]["entries"]]
    assert (len(lines), lines[0], lines[-1]) == (ENTRIES, 0, 5 * ENTRIES - 1)


def test_boxes_and_masks_go_with_their_image() -> None:
    one = {
        "_type": "image-file",
        "path": "a.png",
        "boxes": {"k": {"path": "a.json"}},
        "masks": {"m": {"path": "m.png"}},
    }
    files = ["a.png", "b.png"]
    several = {"_type": "images/separated", "filenames": files, "all_boxes": [None, {"k": {"path": "b.json"}}, 7]}
    named = {"one_wandb_delimeter_m": {"type": "mask/class_labels", "value": {"1": "ink"}}, "other": {}}
    found = logged(RunRecord(id="r"), [(0, {"one": one, "several": several | {"all_masks": False}})], {}, named)
    assert [shown["classes"] for shown in found.values()] == [{"1": "ink"}, {}]
    items = {key: shown["entries"][0]["items"] for key, shown in found.items()}
    assert items == {
        "one": [{"path": "a.png", "caption": "", "boxes": ["a.json"], "masks": ["m.png"]}],
        "several": [{"path": "a.png", "caption": ""}, {"path": "b.png", "caption": "", "boxes": ["b.json"]}],
    }


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
    record, rows = RunRecord(id="r"), [(0, {f"{name}_table": {"_type": "table-file", "path": "t.json"}})]
    found = logged(record, rows, {name: chart.spec.config_value}, {})
    assert found == {
        name: {"kind": "chart", "entries": [{"line": 0, "key": f"{name}_table", "at": "step 0"}], "classes": {}}
    }


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
