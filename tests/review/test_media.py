"""What a run logged beside numbers, from rows as the client writes them."""

import wandb

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


def test_a_chart_stands_where_its_table_was_logged() -> None:
    table = wandb.Table(["x", "y"], [[1, 2.0]])
    chart = wandb.plot.scatter(table, "x", "y")
    chart.set_key("points")
    rows = [(0, {"points_table": {"_type": "table-file", "path": "t.json"}})]
    found = logged(RunRecord(id="r"), rows, {"points": chart.spec.config_value}, {})
    entry = {"line": 0, "key": "points_table", "at": "step 0"}
    assert found == {"points": {"kind": "chart", "entries": [entry], "classes": {}}}
