from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mnist_sweep.review.fields import observed_fields, searched_fields, sweep_info
from mnist_sweep.review.records import (
    RunRecord,
    Status,
    SweepField,
    SweepInfo,
    best_of,
    flatten,
    number,
    ranked,
    reason,
    status,
)

METRIC = "val/accuracy"
INFO = SweepInfo(id="s", metric=METRIC)


def run(name: str = "r", state: str = "finished", tags: tuple[str, ...] = (), **summary: object) -> RunRecord:
    keys = {key.replace("__", "/"): value for key, value in summary.items()}
    return RunRecord(id=name, state=state, summary=keys, config={"epochs": 15}, tags=tags)


@pytest.mark.parametrize(
    ("record", "expected", "words"),
    [
        (run(val__accuracy=0.99, epoch=15), Status.OK, ""),
        (run(state="running", val__accuracy=0.9), Status.RUNNING, ""),
        (run(val__accuracy=0.9, epoch=5), Status.STOPPED, "stopped after epoch 5 of 15"),
        (run(state="killed", val__accuracy=0.9), Status.STOPPED, "stopped early"),
        (run(feasible=False, reason="12,000 parameters"), Status.INFEASIBLE, "12,000 parameters"),
        (run(constraint__parameters=5, val__accuracy=0.999), Status.INFEASIBLE, "parameters over its limit by 5"),
        (run(diverged=True, val__accuracy=0.1), Status.DIVERGED, "diverged"),
        (run(state="crashed", val__accuracy=0.9), Status.FAILED, "ended as crashed"),
        (run(), Status.FAILED, "no val/accuracy reported"),
        (run(val__accuracy="NaN"), Status.FAILED, "no val/accuracy reported"),
        (run(val__accuracy=0.999, tags=("baseline",)), Status.BASELINE, "a baseline, over the limit on purpose"),
    ],
)
def test_how_a_run_ended(record: RunRecord, expected: Status, words: str) -> None:
    assert status(record, METRIC) is expected
    assert reason(record, METRIC) == words
    assert [r.id for r in ranked([record], INFO)] == (["r"] if expected is Status.OK else [])


def test_ranking_is_by_the_last_value_then_the_smaller_network() -> None:
    runs = [
        run("large", val__accuracy=0.99, parameters=9000),
        run("small", val__accuracy=0.99, parameters=5000),
        run("best", val__accuracy=0.991, parameters=9999),
    ]
    assert [r.id for r in ranked(runs, INFO)] == ["best", "small", "large"]
    loss = SweepInfo(id="s", metric="loss", goal="minimize")
    assert [r.id for r in ranked([run("a", loss=2.0), run("b", loss=1.0)], loss)] == ["b", "a"]


def test_best_epoch_from_the_summary_or_else_the_history() -> None:
    rows = [{"epoch": 1, METRIC: 0.9}, {"epoch": 2, METRIC: 0.95}, {"epoch": 3, METRIC: 0.94}]
    assert best_of(RunRecord("r", history=rows), INFO) == (0.95, 2.0)
    said = RunRecord("r", history=rows, summary={"best/val/accuracy": 0.97, "best/epoch": 9})
    assert best_of(said, INFO) == (0.97, 9.0)
    assert best_of(RunRecord("r"), INFO) == (None, None)


def test_time_is_the_clients_own_else_from_the_timestamps() -> None:
    start = datetime(2030, 1, 1, tzinfo=UTC)
    assert RunRecord("r", summary={"_runtime": 12.5}).seconds == 12.5
    assert RunRecord("r", created_at=start, finished_at=start + timedelta(seconds=7)).seconds == 7.0
    assert RunRecord("r").seconds is None


def test_only_finite_numbers_are_numbers() -> None:
    values = [1, 2.5, True, "NaN", float("nan"), float("inf"), None, {}]
    assert [number(value) for value in values] == [1.0, 2.5, *[None] * 6]


def test_nested_keys_become_dotted_and_media_stay_whole() -> None:
    table = {"_type": "table-file", "path": "media/t.json"}
    assert flatten({"a": {"b": {"c": 1}}, "t": table}) == {"a.b.c": 1, "t": table}


def test_searched_fields_of_every_kind_of_parameter() -> None:
    parameters = {
        "lr": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1},
        "old_lr": {"distribution": "log_uniform", "min": -2.302585092994046, "max": 0.0},
        "width": {"min": 4, "max": 16},
        "size": {"values": [64, 128]},
        "fixed": {"value": 3},
        "single": {"values": [3]},
        "optimizer": {"parameters": {"momentum": {"min": 0.5, "max": 0.9}}},
        "noise": {"distribution": "normal", "mu": 0, "sigma": 1},
    }
    fields = {field.name: field for field in searched_fields(parameters)}
    assert list(fields) == ["lr", "old_lr", "width", "size", "optimizer.momentum", "noise"]
    assert fields["lr"] == SweepField("lr", "float", 0.001, 0.1, log=True)
    assert fields["old_lr"].low == pytest.approx(0.1)
    assert fields["old_lr"].high == 1.0
    assert fields["width"] == SweepField("width", "int", 4, 16)
    assert fields["size"].choices == (64, 128)
    assert fields["noise"].low is None


def test_without_a_sweep_configuration_what_differs_is_taken_as_searched() -> None:
    runs = [
        RunRecord("a", config={"lr": 0.1, "seed": 1, "net": "x"}),
        RunRecord("b", config={"lr": 0.2, "seed": 1, "net": "y"}),
    ]
    assert [(f.name, f.kind) for f in observed_fields(runs)] == [("lr", "float"), ("net", "categorical")]


def test_metric_and_goal_as_people_read_them() -> None:
    info = sweep_info({"metric": {"name": "val/accuracy", "goal": "maximize"}}, id="s")
    assert info.show(0.99526) == "99.53 %"
    loss = sweep_info({"metric": {"name": "loss"}}, id="s")
    assert (loss.goal, loss.show(0.123456), loss.show(None)) == ("minimize", "0.1235", "–")
