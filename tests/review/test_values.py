"""Sweeps over values of every kind: each review is computed, drawn and written as JSON without an error."""

import json
from functools import lru_cache
from typing import Any

import pytest

from mnist_sweep.review.fields import observed_fields, sweep_info
from mnist_sweep.review.importance import measure
from mnist_sweep.review.page import as_json
from mnist_sweep.review.page_data import run_payload, sweep_payload
from mnist_sweep.review.project_page import workspace_payload
from mnist_sweep.review.ranking import rank
from mnist_sweep.review.records import RunRecord, flatten
from mnist_sweep.review.review import build_review
from mnist_sweep.review.wandb_report import build

HUGE = [2**1024, 10**400, -(2**2000)]
VALUES: dict[str, list[Any]] = {
    "lists of numbers": [[1, 2], [3, 4]],
    "lists of text": [["a"], ["b", "c"]],
    "nested lists": [[1, [2]], [[3], 4]],
    "list and null": [[1, 2], None],
    "list and text": [[1, 2], "none"],
    "list and mapping": [[1, 2], {"a": [1]}],
    "mappings": [{"a": 1}, {"a": 2}],
    "list in a mapping": [{"a": [1, 2]}, {"a": [3]}],
    "empty list": [[], [1]],
    "text and number": ["64", 64, 128],
    "true and number": [True, 1, 2],
    "huge integers": HUGE,
    "all kinds": ["16-mixed", 32, None, True, [1, 2], {"a": 1}, 2**1024],
}


def runs_of(values: list[Any]) -> list[RunRecord]:
    return [
        RunRecord(id=f"r{i}", config=flatten({"p": values[i % len(values)], "x": i / 10}), summary={"loss": float(i)})
        for i in range(12)
    ]


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())
def test_a_sweep_over_any_values_is_reviewed(values: list[Any]) -> None:
    config = {
        "method": "random",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"p": {"values": values}, "x": {"min": 0.0, "max": 1.2}},
    }
    ranking = rank(sweep_info(config, id="s", project="p", entity="e"), runs_of(values))
    found = build_review(ranking, measured=lru_cache(measure))
    data = json.loads(as_json(sweep_payload(found)))
    dimension = data["figures"]["parallel"]["data"][0]["dimensions"][0]
    assert sorted(set(dimension["values"])) == list(range(len(dict.fromkeys(map(str, values)))))
    assert as_json(workspace_payload(runs_of(values)))
    assert as_json(run_payload(ranking.trials[0], ranking))
    assert build(found)
    assert observed_fields(runs_of(values))


def test_a_list_is_named_as_json_writes_it() -> None:
    config = {"parameters": {"p": {"values": [[1, 2], "none", None, True, {"a": 1}]}}}
    (field,) = sweep_info(config, id="s").fields
    assert field.choices == ("[1, 2]", "none", "null", "true", '{"a": 1}')


def test_metrics_beyond_the_range_of_floats_are_no_numbers() -> None:
    runs = [RunRecord(id=f"r{i}", summary={"loss": huge}, history=[{"loss": huge}] * 2) for i, huge in enumerate(HUGE)]
    ranking = rank(sweep_info({"metric": {"name": "loss"}}, id="s"), runs)
    assert not ranking.ranked
    assert as_json(sweep_payload(build_review(ranking)))
    assert as_json(workspace_payload(runs))
    assert as_json(run_payload(ranking.trials[0], ranking))


def test_bounds_beyond_the_range_of_floats_are_no_bounds() -> None:
    parameters = {
        "a": {"distribution": "log_uniform", "min": 100, "max": 1_000_000},
        "b": {"min": 0, "max": 2**1024},
        "c": {"distribution": "log_uniform_values", "min": 1.0, "max": 1.7e308},
    }
    info = sweep_info({"metric": {"name": "loss"}, "parameters": parameters}, id="s")
    runs = [
        RunRecord(id=f"r{i}", config={"a": 10.0**i, "b": i, "c": 10.0**i}, summary={"loss": float(i)}) for i in range(9)
    ]
    assert as_json(sweep_payload(build_review(rank(info, runs))))
