import pytest

from mnist_sweep.review.fields import observed_fields, searched_fields, sweep_info
from mnist_sweep.review.records import Objective, RunRecord, SweepField
from mnist_sweep.search.goal import Goal


def test_a_sweep_names_its_metric_and_goal_or_none() -> None:
    named = sweep_info({"metric": {"name": "loss"}}, id="s")
    assert (named.metric, named.goal) == ("loss", "minimize")
    assert sweep_info({"metric": "loss"}, id="s").metric == "loss"
    assert sweep_info({}, id="s").metric == ""


def test_a_sweep_with_two_metrics_has_two_objectives() -> None:
    metrics = [{"name": "acc", "goal": "maximize"}, {"name": "size"}, {"name": "third"}]
    info = sweep_info({"metrics": metrics}, id="s")
    assert (info.metric, info.goal, info.second) == ("acc", Goal.MAXIMIZE, Objective("size", Goal.MINIMIZE))


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
    assert fields["lr"] == SweepField(name="lr", kind="float", low=0.001, high=0.1, log=True)
    assert fields["old_lr"].low == pytest.approx(0.1)
    assert fields["old_lr"].high == 1.0
    assert fields["width"] == SweepField(name="width", kind="int", low=4, high=16)
    assert fields["size"].choices == ("64", "128")
    assert fields["noise"].low is None


def test_without_a_sweep_configuration_what_differs_is_taken_as_searched() -> None:
    runs = [
        RunRecord(id="a", config={"lr": 0.1, "seed": 1, "net": "x"}),
        RunRecord(id="b", config={"lr": 0.2, "seed": 1, "net": "y"}),
    ]
    assert [(f.name, f.kind) for f in observed_fields(runs)] == [("lr", "float"), ("net", "categorical")]
