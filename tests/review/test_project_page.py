from mnist_sweep.review.project_page import FIELDS_SHOWN, curves, workspace_payload
from mnist_sweep.review.records import RunRecord
from tests.review import synthetic


def test_charts_are_what_the_runs_logged_and_groups_what_differs_between_them() -> None:
    data = workspace_payload(synthetic.sweep(20))
    charts = data["workspace"]
    assert {"val/accuracy", "val/loss"} <= set(charts["metrics"])
    assert not {"epoch", "best/epoch", "constraint/parameters", "_runtime"} & set(charts["metrics"])
    assert charts["axes"] == {"_step": "step", "_runtime": "seconds", "epoch": "epoch"}
    assert "config:max_lr" in charts["groups"]
    assert "config:epochs" not in charts["groups"]
    shown = [column["key"] for column in data["table"]["columns"] if column["shown"]]
    assert sum(key.startswith("config:") for key in shown) == FIELDS_SHOWN


def test_the_newest_run_comes_first() -> None:
    table = workspace_payload(synthetic.sweep(20))["table"]
    place = 3 + [column["key"] for column in table["columns"]].index("created")
    assert [row[place] for row in table["rows"]] == sorted((row[place] for row in table["rows"]), reverse=True)


def test_a_curve_runs_over_the_chosen_axis_or_its_own() -> None:
    rows = [{"_step": i, "_runtime": 2.0 * i, "epoch": i // 2, "loss": 1.0 / (i + 1)} for i in range(4)]
    own = RunRecord(id="own", history=rows, step_metrics={"loss": "epoch"})
    plain, silent = RunRecord(id="plain", history=rows), RunRecord(id="silent", summary={"loss": 3.0})
    found = curves([own, plain, silent], "loss")
    assert {run: points["x"] for run, points in found.items()} == {"own": [0, 0, 1, 1], "plain": [0, 1, 2, 3]}
    assert curves([own], "loss", "_runtime")["own"]["x"] == [0, 2, 4, 6]


def test_the_metrics_of_the_sweeps_come_first_and_counters_are_not_charted() -> None:
    summary = {
        "val/accuracy": 0.9,
        "a": 1.0,
        "epoch": 3,
        "trainer/global_step": 9,
        "val/loss": 0.1,
        "score.min": 0.5,
        "score.max": 0.9,
    }
    data = workspace_payload([RunRecord(id="r", summary=summary)], objectives=["score"])
    assert data["workspace"]["metrics"] == ["score", "val/accuracy", "val/loss", "a"]
    shown = [column["label"] for column in data["table"]["columns"] if column["shown"]]
    assert shown == ["run", "status", "score.min", "score.max", "val/accuracy", "val/loss"]
